// The command `head`.
import type { Command } from 'commander'
import type { Run } from './context.ts'

export function head(program: Command, run: Run): void {
  program
    .command('head')
    .description('print the version of the last event of a stream; -1 if there is no such stream')
    .argument('<category>')
    .argument('<stream>')
    .action(
      run(async (context, category: string, streamId: string) => {
        const meow = await context.open()
        const version = await meow.head({ category, streamId })
        await context.out.say({ category, streamId, version }, String(version))
      }),
    )
}
