// The command `reset`.
import type { Command } from 'commander'
import type { From } from '../live/observer.ts'
import { moment, startPosition, UsageError } from './arguments.ts'
import type { Run } from './context.ts'

interface Options {
  force?: true
  at?: { since: Date }
}

export function reset(program: Command, run: Run): void {
  program
    .command('reset')
    .description('move a subscription to another position; running executors continue there')
    .argument('<subscription>')
    .argument('[to]', 'start, end, or the position to continue after', startPosition)
    .option(
      '--at <time>',
      "continue at the first event that was recorded then or later, such as '2026-01-31 14:00' (local time) or 2026-01-31T14:00Z",
      moment,
    )
    .option('--force', 'forget its parked events')
    .action(
      run(async (context, name: string, place: From | undefined, { force, at }: Options) => {
        const to = at ?? place
        if (to === undefined || (at && place))
          throw new UsageError('reset needs either <to> or --at <time> (see meowmx reset --help)')
        const meow = await context.open()
        const parked = force ? [] : await meow.parked(name, { limit: 1 })
        if (parked.length > 0)
          throw new Error(
            `"${name}" has parked events, which a reset forgets: see \`meowmx parked ${name}\`, replay them with \`meowmx replay ${name}\`, or give --force`,
          )
        await meow.resetSubscription(name, to)
        const [info] = await meow.subscriptions({ names: [name] })
        const after = info?.position
        await context.out.say({ name, to, position: after }, `"${name}" continues after position ${after}`)
      }),
    )
}
