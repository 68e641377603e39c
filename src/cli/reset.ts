import type { Command } from 'commander'
import type { From } from '../live/observer.ts'
import { place } from './arguments.ts'
import type { Run } from './context.ts'

export function reset(program: Command, run: Run): void {
  program
    .command('reset')
    .description('have a subscription go on from somewhere else; executors that run go on from there')
    .argument('<subscription>')
    .argument('<to>', 'start, end, or the position to go on after', place)
    .option('--force', 'forget its parked events, where there are any')
    .action(
      run(async (context, name: string, to: From, { force }: { force?: true }) => {
        const meow = await context.open()
        const parked = force ? [] : await meow.parked(name, { limit: 1 })
        if (parked.length > 0)
          throw new Error(
            `"${name}" has parked events, which a reset forgets: see \`meowmx parked ${name}\`, replay them by \`meowmx replay ${name}\`, or give --force`,
          )
        await meow.resetSubscription(name, to)
        const [info] = await meow.subscriptions({ names: [name] })
        const after = info?.position
        await context.out.say({ name, to, position: after }, `"${name}" goes on after position ${after}`)
      }),
    )
}
