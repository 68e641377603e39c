// The command `worker`.
import type { Command } from 'commander'
import { Option } from 'commander'
import { sleep } from '../core/clock.ts'
import { jsonText } from '../core/json-text.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Selector } from '../events/selector.ts'
import type { From } from '../live/observer.ts'
import type { Meow } from '../meow.ts'
import type { HandlerContext } from '../subscriptions/invoke.ts'
import type { Worker } from '../subscriptions/worker.ts'
import { defined, integer, list, startPosition, UsageError } from './arguments.ts'
import type { Context, Run } from './context.ts'
import { STOP_TIMEOUT_MS } from './context.ts'
import { eventLine } from './events.ts'
import { Shell } from './exec.ts'
import { selector } from './read.ts'

/** How often to check whether all events are handled. */
const ONCE_MS = 200

interface Options {
  category?: string[]
  stream?: string
  types?: string[]
  all?: true
  exec?: string
  once?: true
  stopTimeoutMs: number
  from?: From
  partitions?: number
  maxInFlight?: number
  leaseMs?: number
  concurrency: number
  timeoutMs?: number
  maxAttempts?: number
  minDelayMs?: number
  maxDelayMs?: number
  onExhausted: 'park' | 'stop'
}

export function worker(program: Command, run: Run): void {
  program
    .command('worker')
    .description('process a durable subscription: print each event, or run a command for it')
    .argument('<subscription>', 'name of the subscription; if it exists, it continues where it was')
    .option('--category <names>', 'consume these categories, a,b', list)
    .option('--stream <id>', '… only this stream of the category')
    .option('--types <names>', '… only these types, a,b', list)
    .option('--all', 'consume every category')
    .option(
      '--exec <command>',
      'shell command to run for each event, which it gets as a line of JSON on stdin; exit code 0 acks',
    )
    .option('--once', 'end when all events are handled')
    .option(
      '--from <place>',
      "where a new subscription starts: start, end, after a position, or at a time such as '2026-01-31 14:00'",
      startPosition,
    )
    .option('--partitions <n>', 'number of partitions, which several workers share', integer(1))
    .option('--concurrency <n>', 'handle this many streams at once, each in order', integer(1), 1)
    .option('--max-in-flight <n>', 'at most this many unacked events; default: 1000', integer(1))
    .option('--lease-ms <ms>', 'how soon a dead worker is replaced; default: 10000', integer(100))
    .option('--timeout-ms <ms>', 'a command that takes longer is ended, and counts as failed', integer(1))
    .option('--max-attempts <n>', 'attempts until the stream is parked; default: 10', integer(1))
    .option('--min-delay-ms <ms>', 'pause before the second attempt; default: 100', integer())
    .option('--max-delay-ms <ms>', 'longest pause before an attempt; default: 30000', integer())
    .option(
      '--stop-timeout-ms <ms>',
      'how long to wait for running commands when told to stop',
      integer(),
      STOP_TIMEOUT_MS,
    )
    .addOption(
      new Option('--on-exhausted <what>', 'what to do when attempts run out: park the stream, or stop')
        .choices(['park', 'stop'])
        .default('park'),
    )
    .addHelpText(
      'after',
      `
Example:  meowmx worker mailer --category order --exec 'jq -r .data.email | xargs -n1 ./send-mail'
The command also gets MEOWMX_SUBSCRIPTION and MEOWMX_ATTEMPT. Its stdout goes to our stdout and its stderr to our stderr; if it
fails, its stderr is also kept in the parked event. Exit codes 126 and 127 (the command does not exist) end the worker. On
SIGINT and SIGTERM the worker waits for running commands and acks their events. After --stop-timeout-ms it ends them, and
their events come again. A second signal ends the worker at once.`,
    )
    .action(
      run(async (context, name: string, options: Options) => {
        const { signal } = context
        const meow = await context.open({ listen: true })
        const handle = handler(context, name, options)
        const subscription = meow.subscription(name, {
          ...(await consumed(meow, name, options)),
          ...defined({ from: options.from, maxInFlight: options.maxInFlight, leaseMs: options.leaseMs }),
        })
        let failure: { error: unknown } | undefined
        const worker = subscription.process(
          async (event, attempt) => {
            try {
              await handle(event, attempt)
            } catch (error) {
              if ((error as { fatal?: boolean }).fatal) {
                failure ??= { error }
                void worker.stop() // aborts the signal, so that this does not count as an attempt
              }
              throw error
            }
          },
          {
            concurrency: options.concurrency,
            onExhausted: options.onExhausted,
            ...defined({ timeoutMs: options.timeoutMs }),
            retry: defined({
              maxAttempts: options.maxAttempts,
              minDelayMs: options.minDelayMs,
              maxDelayMs: options.maxDelayMs,
            }),
          },
        )
        const stop = () => void worker.stop({ timeoutMs: options.stopTimeoutMs })
        signal.addEventListener('abort', stop)
        if (signal.aborted) stop()
        if (options.once) void allHandled(meow, name, worker, stop)
        await worker.done
        if (failure) throw failure.error
      }),
    )
}

/** Stops the worker when no event is left to handle, by any executor. Replays and retries count as left. */
async function allHandled(meow: Meow, name: string, worker: Worker, stop: () => void): Promise<void> {
  const ended = new AbortController()
  worker.done.catch(() => {}).finally(() => ended.abort())
  await worker.ready.catch(() => {}) // `done` rejects with the error
  while (!ended.signal.aborted) {
    const known = (await meow.subscriptions({ names: [name] }).catch(() => []))[0]
    if (known?.lag === 0) return stop()
    await sleep(ONCE_MS, ended.signal).catch(() => {})
  }
}

type Handle = (event: RecordedEvent, context: HandlerContext) => Promise<void>

function handler(context: Context, name: string, { exec }: Options): Handle {
  const { out, stderr } = context
  if (exec !== undefined) {
    const shell = new Shell(exec, { MEOWMX_SUBSCRIPTION: name }, stderr)
    context.closing(() => shell.end())
    return (event, { attempt, signal }) =>
      shell.run(`${jsonText(event)}\n`, { MEOWMX_ATTEMPT: String(attempt) }, signal)
  }
  return async (event) => {
    await out.say(event, eventLine(event, out))
    await out.flush() // an event that was not written must not be acked
  }
}

/** The selector and partitions from the options; without options, those of the existing subscription. */
async function consumed(
  meow: Meow,
  name: string,
  options: Options,
): Promise<Selector<string> & { partitions?: number }> {
  const selected = selector(options)
  const partitions = defined({ partitions: options.partitions })
  if (options.all && selected.category !== undefined)
    throw new UsageError('--all and --category were both given: give only one')
  if (options.all || Object.keys(selected).length > 0) return { ...selected, ...partitions }
  const [known] = await meow.subscriptions({ names: [name] })
  if (!known)
    throw new UsageError(
      `there is no subscription "${name}" yet: give --category or --all, which say what it consumes`,
    )
  return { ...known.selector, partitions: known.partitions.length, ...partitions }
}
