// The command `pause`.
import type { Command } from 'commander'
import type { Run } from './context.ts'

export function pause(program: Command, run: Run): void {
  program
    .command('pause')
    .description('pause a subscription in all processes: what is being handled ends, and nothing else begins')
    .argument('<subscription>')
    .addHelpText(
      'after',
      '\nIt stays paused until `meowmx resume <subscription>`, whatever is restarted meanwhile.',
    )
    .action(
      run(async (context, name: string) => {
        const meow = await context.open()
        await meow.pauseSubscription(name)
        await context.out.say({ name }, `"${name}" is paused`)
      }),
    )
}
