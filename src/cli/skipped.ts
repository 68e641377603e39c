// The command `skipped`.
import type { Command } from 'commander'
import { integer } from './arguments.ts'
import type { Run } from './context.ts'
import { streamName } from './events.ts'

export function skipped(program: Command, run: Run): void {
  program
    .command('skipped')
    .description('list the events of a subscription that were discarded, the newest first, with the reasons')
    .argument('<subscription>')
    .option('--limit <n>', 'show at most this many', integer(1), 100)
    .action(
      run(async (context, name: string, { limit }: { limit: number }) => {
        const meow = await context.open()
        const found = await meow.discarded(name, { limit })
        if (found.length === 0) context.stderr.note(`no event of "${name}" was discarded`)
        await context.out.table(found, {
          position: ({ event }) => String(event.position),
          event: ({ event }) => `${streamName(event)}@${event.version}`,
          type: ({ event }) => event.type,
          discarded: ({ discardedAt }) => discardedAt.toISOString(),
          by: ({ discardedBy }) => discardedBy,
          reason: ({ reason }) => reason,
          error: ({ error }) => (error ?? '-').split('\n', 1)[0]!.slice(0, 100),
        })
      }),
    )
}
