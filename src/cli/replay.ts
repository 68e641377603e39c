// The command `replay`.
import type { Command } from 'commander'
import type { Run } from './context.ts'
import { counted } from './stderr.ts'

export function replay(program: Command, run: Run): void {
  program
    .command('replay')
    .description(
      'put parked events back: executors handle them in order, before newer events of their streams',
    )
    .argument('<subscription>')
    .option('--stream <id>', 'only events of this stream')
    .action(
      run(async (context, name: string, { stream }: { stream?: string }) => {
        const meow = await context.open()
        const replayed = await meow.replayParked(name, stream === undefined ? {} : { streamId: stream })
        await context.out.say(
          { name, replayed },
          `${counted(replayed, 'event')} ${replayed === 1 ? 'was' : 'were'} put back: "${name}" handles ${replayed === 1 ? 'it' : 'them'} next`,
        )
      }),
    )
}
