// The command `resume`.
import type { Command } from 'commander'
import type { Run } from './context.ts'

export function resume(program: Command, run: Run): void {
  program
    .command('resume')
    .description('let a paused subscription go on, in all processes')
    .argument('<subscription>')
    .action(
      run(async (context, name: string) => {
        const meow = await context.open()
        await meow.resumeSubscription(name)
        await context.out.say({ name }, `"${name}" goes on`)
      }),
    )
}
