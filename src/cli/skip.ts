// The command `skip`.
import type { Command } from 'commander'
import { defined, UsageError } from './arguments.ts'
import type { Run } from './context.ts'
import { streamName } from './events.ts'
import { counted } from './stderr.ts'

interface Options {
  stream: string
  reason: string
  category?: string
  force?: true
}

export function skip(program: Command, run: Run): void {
  program
    .command('skip')
    .description(
      'skip the event for which a stream is parked, for ever, and deliver the later events of the stream again',
    )
    .argument('<subscription>')
    .requiredOption('--stream <id>', 'the stream (see `meowmx parked <subscription>`)')
    .requiredOption('--reason <text>', 'why; it is stored, see `meowmx skipped <subscription>`')
    .option('--category <name>', 'of the stream, if several categories have one with this id')
    .option('--force', 'do it; without it the event is only shown')
    .action(
      run(async (context, name: string, { stream, reason, category, force }: Options) => {
        const meow = await context.open()
        if (!force) {
          const parked = await meow.parked(name, { limit: 100_000 })
          const found = parked.find(
            ({ event, attempts }) =>
              event.streamId === stream && attempts > 0 && (category ?? event.category) === event.category,
          )
          if (found) {
            const { event, attempts, error } = found
            context.stderr.note(
              `${streamName(event)}@${event.version} ${event.type} failed after ${counted(attempts, 'attempt')}: ${error?.split('\n', 1)[0] ?? '(no error)'}`,
            )
          }
          throw new UsageError(
            found
              ? `"${name}" would never handle this event: give --force to discard it, or replay it with \`meowmx replay ${name} --stream ${stream}\``
              : `"${name}" has no parked stream ${stream}: see \`meowmx parked ${name}\``,
          )
        }
        const replayed = await meow.discardParked(name, {
          streamId: stream,
          reason,
          ...defined({ category }),
        })
        await context.out.say(
          { name, stream, reason, replayed },
          `the event is discarded; ${counted(replayed, 'event')} behind it ${replayed === 1 ? 'was' : 'were'} put back: "${name}" handles them next`,
        )
      }),
    )
}
