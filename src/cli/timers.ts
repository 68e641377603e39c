// The command `timers`.
import type { Command } from 'commander'
import { Argument } from 'commander'
import { wall } from '../core/clock.ts'
import { integer, UsageError } from './arguments.ts'
import type { Run } from './context.ts'
import { streamName } from './events.ts'

/** What can be done with a timer. */
const ACTIONS = ['run', 'cancel']

export function timers(program: Command, run: Run): void {
  program
    .command('timers')
    .description('list the timers that have not fired, run one now, or cancel one')
    .addArgument(new Argument('[action]', 'without it: list').choices(ACTIONS))
    .argument('[key]', 'of the timer')
    .option('--prefix <text>', 'list only keys that begin with this')
    .option('--limit <n>', 'list at most this many', integer(1), 100)
    .addHelpText(
      'after',
      '\nA timer that is `late` is due: no worker runs, or its append fails. `run` appends what it holds, due or not.',
    )
    .action(
      run(
        async (
          context,
          action: string | undefined,
          key: string | undefined,
          { prefix, limit }: { prefix?: string; limit: number },
        ) => {
          const { out, stderr } = context
          if (action !== undefined && key === undefined)
            throw new UsageError(`timers ${action} needs a key (see meowmx timers --help)`)
          const meow = await context.open()
          if (action !== undefined && key !== undefined) {
            const there = action === 'run' ? await meow.runTimer(key) : await meow.unschedule(key)
            const done = action === 'run' ? 'has fired' : 'is cancelled'
            return out.say(
              { key, [action]: there },
              there ? `"${key}" ${done}` : `there is no timer "${key}"`,
            )
          }
          const now = wall()
          const all = await meow.scheduled({ limit, ...(prefix === undefined ? {} : { prefix }) })
          if (all.length === limit) stderr.note(`these are the first ${limit}; --limit <n> shows more`)
          if (all.length === 0) stderr.note('there are no timers')
          await out.table(all, {
            key: ({ key }) => key,
            due: ({ due }) => due.toISOString(),
            state: ({ due, failure }) =>
              failure ? (failure.retryAt ? 'retrying' : 'failed') : due.getTime() <= now ? 'late' : 'waits',
            stream: ({ stream }) => streamName(stream),
            events: ({ events }) => events.map(({ type }) => type).join(', '),
            error: ({ failure }) => (failure?.error ?? '').split('\n', 1)[0]!.slice(0, 100),
          })
        },
      ),
    )
}
