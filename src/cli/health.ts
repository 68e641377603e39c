// The command `health`.
import type { Command } from 'commander'
import { defined, integer } from './arguments.ts'
import type { Run } from './context.ts'

export function health(program: Command, run: Run): void {
  program
    .command('health')
    .description('check whether a process can work with the store, for probes: exit code 0 if it can, else 1')
    .option(
      '--max-lag <n>',
      'fail if a subscription that is not paused is more than this many events behind',
      integer(),
    )
    .option('--timeout-ms <ms>', 'after how long the database counts as away', integer(1), 5_000)
    .action(
      run(async (context, options: { maxLag?: number; timeoutMs: number }) => {
        const meow = await context.open()
        const { ok, checks } = await meow.health(defined(options))
        const rows = Object.entries(checks).map(([check, { ok, message }]) => ({ check, ok, message }))
        if (context.out.json) await context.out.say({ ok, checks }, '')
        else
          await context.out.table(rows, {
            check: ({ check }) => check,
            state: ({ ok }) => (ok ? 'ok' : 'failed'),
            found: ({ message }) => message,
          })
        if (!ok) context.exit(1)
      }),
    )
}
