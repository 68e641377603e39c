// The command `settled`.
import type { Command } from 'commander'
import { integer } from './arguments.ts'
import type { Run } from './context.ts'

export function settled(program: Command, run: Run): void {
  program
    .command('settled')
    .description(
      'wait until subscriptions have handled everything that is appended now; fails if they do not in time',
    )
    .argument('[subscriptions...]', 'only these; default: all')
    .option('--timeout-ms <ms>', 'how long to wait at most', integer(1), 5_000)
    .action(
      run(async (context, names: string[], { timeoutMs }: { timeoutMs: number }) => {
        const meow = await context.open({ listen: true })
        await meow.settled({ timeoutMs, ...(names.length > 0 ? { names } : {}) })
        await context.out.say({ settled: true }, 'everything is handled or parked')
      }),
    )
}
