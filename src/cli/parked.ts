// The command `parked`.
import type { Command } from 'commander'
import { integer } from './arguments.ts'
import type { Run } from './context.ts'
import { eventBlock, streamName } from './events.ts'
import { plain } from './output.ts'
import { counted } from './stderr.ts'

export function parked(program: Command, run: Run): void {
  program
    .command('parked')
    .description('list the parked events of a subscription, with their errors')
    .argument('<subscription>')
    .option('--limit <n>', 'show at most this many', integer(1), 100)
    .option('--pretty', 'show data, metadata and the whole error')
    .action(
      run(async (context, name: string, { limit, pretty }: { limit: number; pretty?: true }) => {
        const { out, stderr } = context
        const meow = await context.open()
        const events = await meow.parked(name, { limit })
        if (events.length === limit) stderr.note(`these are the first ${limit}; --limit <n> shows more`)
        if (events.length === 0) stderr.note(`"${name}" has no parked events`)
        if (pretty && !out.json) {
          for (const { event, attempts, error, parkedAt } of events) {
            await out.line(eventBlock(event, out))
            const failure = error === null ? '-' : error.split('\n').map(plain).join('\n    ')
            await out.line(
              `  parked ${parkedAt.toISOString()} after ${counted(attempts, 'attempt')}: ${failure}`,
            )
          }
          return
        }
        await out.table(events, {
          position: ({ event }) => String(event.position),
          event: ({ event }) => `${streamName(event)}@${event.version}`,
          type: ({ event }) => event.type,
          attempts: ({ attempts }) => String(attempts),
          parked: ({ parkedAt }) => parkedAt.toISOString(),
          error: ({ error }) =>
            error === null ? 'waits behind the event that failed' : error.split('\n', 1)[0]!.slice(0, 100),
        })
      }),
    )
}
