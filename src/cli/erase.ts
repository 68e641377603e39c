// The command `erase`.
import type { Command } from 'commander'
import { defined, UsageError } from './arguments.ts'
import type { Run } from './context.ts'
import { plain } from './output.ts'
import { counted } from './stderr.ts'

export function erase(program: Command, run: Run): void {
  program
    .command('erase')
    .description('empty all events of a stream for ever, for instance because a person asked for it')
    .argument('<category>')
    .argument('<stream>')
    .option('--reason <text>', 'why; it stays in the store, so it must not be personal')
    .option('--force', 'do it; without it only the number of events is shown')
    .addHelpText(
      'after',
      `
Data and metadata of the events, snapshots, and errors of parked events are gone; versions, positions and types stay, and an event
$erased is appended. Backups and what subscriptions wrote elsewhere are not touched.`,
    )
    .action(
      run(
        async (
          context,
          category: string,
          streamId: string,
          { reason, force }: { reason?: string; force?: true },
        ) => {
          const meow = await context.open()
          const name = `${plain(category)}/${plain(streamId)}`
          const version = await meow.head({ category, streamId })
          if (version < 0) throw new Error(`there is no stream ${name}`)
          if (!force)
            throw new UsageError(
              `${name} has ${counted(version + 1, 'event')}, whose data would be lost for ever: give --force to erase them`,
            )
          const { events } = await meow.eraseStream({ category, streamId }, defined({ reason }))
          await context.out.say(
            { category, streamId, events },
            `${counted(events, 'event')} of ${name} erased`,
          )
        },
      ),
    )
}
