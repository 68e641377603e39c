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
import { integer, list, place, UsageError } from './arguments.ts'
import type { Context, Run } from './context.ts'
import { STOP_TIMEOUT_MS } from './context.ts'
import { eventLine } from './events.ts'
import { Shell } from './exec.ts'
import { selector } from './read.ts'

/** How often to look whether all is handled. */
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
    .description('work through a durable subscription: print each event, or have a command handle it')
    .argument('<subscription>', 'its name; one that exists goes on where it was')
    .option('--category <names>', 'what it consumes: events of these categories, a,b', list)
    .option('--stream <id>', '… of this stream')
    .option('--types <names>', '… of these types, a,b', list)
    .option('--all', '… of every category')
    .option(
      '--exec <command>',
      'run by the shell once an event, which it gets as a line of JSON on stdin; exit code 0 acks',
    )
    .option('--once', 'end when all is handled')
    .option('--from <place>', 'where a new one begins: start, end or the position before', place)
    .option('--partitions <n>', 'parts that several workers share, by stream', integer(1))
    .option('--concurrency <n>', 'streams at once, each in order', integer(1), 1)
    .option('--max-in-flight <n>', 'events in hand at most; default: 256', integer(1))
    .option('--lease-ms <ms>', 'how soon a dead worker is replaced; default: 10000', integer(100))
    .option('--timeout-ms <ms>', 'a command that takes longer is ended, and has failed', integer(1))
    .option('--max-attempts <n>', 'then its stream is set aside; default: 10', integer(1))
    .option('--min-delay-ms <ms>', 'before the second attempt; default: 100', integer())
    .option('--max-delay-ms <ms>', 'before any attempt; default: 30000', integer())
    .option(
      '--stop-timeout-ms <ms>',
      'when told to end: how long commands that run are waited for',
      integer(),
      STOP_TIMEOUT_MS,
    )
    .addOption(new Option('--on-exhausted <what>', 'or end').choices(['park', 'stop']).default('park'))
    .addHelpText(
      'after',
      `
Example:  meowmx worker mailer --category order --exec 'jq -r .data.email | xargs -n1 ./send-mail'
The command also has MEOWMX_SUBSCRIPTION and MEOWMX_ATTEMPT. Its stdout goes to ours, its stderr to ours and, where it
fails, into the parked event. Exit codes 126 and 127 (there is no such command) end the worker. On SIGINT and SIGTERM
commands that run are waited for and acked; after --stop-timeout-ms they are ended, and their events come again. A second
signal ends at once.`,
    )
    .action(
      run(async (context, name: string, options: Options) => {
        const { signal } = context
        const meow = await context.open({ listen: true })
        const handle = handler(context, name, options)
        const subscription = meow.subscription(name, {
          ...(await consumed(meow, name, options)),
          ...given({ from: options.from, maxInFlight: options.maxInFlight, leaseMs: options.leaseMs }),
        })
        let failure: { error: unknown } | undefined
        const worker = subscription.process(
          async (event, attempt) => {
            try {
              await handle(event, attempt)
            } catch (error) {
              if ((error as { fatal?: boolean }).fatal) {
                failure ??= { error }
                void worker.stop() // its signal aborts, so that this counts as no attempt
              }
              throw error
            }
          },
          {
            concurrency: options.concurrency,
            onExhausted: options.onExhausted,
            ...given({ timeoutMs: options.timeoutMs }),
            retry: given({
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

/** Stops once there is nothing left to handle, for whichever executor: replays and retries count. */
async function allHandled(meow: Meow, name: string, worker: Worker, stop: () => void): Promise<void> {
  const ended = new AbortController()
  worker.done.catch(() => {}).finally(() => ended.abort())
  await worker.ready.catch(() => {}) // `done` tells
  while (!ended.signal.aborted) {
    const known = (await meow.subscriptions({ names: [name] }).catch(() => []))[0]
    if (known?.lag === 0) return stop()
    await sleep(ONCE_MS, ended.signal).catch(() => {})
  }
}

type Handle = (event: RecordedEvent, context: HandlerContext) => Promise<void>

function handler(context: Context, name: string, { exec }: Options): Handle {
  const { out, talk } = context
  if (exec !== undefined) {
    const shell = new Shell(exec, { MEOWMX_SUBSCRIPTION: name }, talk)
    context.closing(() => shell.end())
    return (event, { attempt, signal }) =>
      shell.run(`${jsonText(event)}\n`, { MEOWMX_ATTEMPT: String(attempt) }, signal)
  }
  return async (event) => {
    await out.say(event, eventLine(event, out))
    await out.flush() // what nobody took is not acked
  }
}

/** What it consumes: as is said, or, where nothing is said, as it does already. */
async function consumed(
  meow: Meow,
  name: string,
  options: Options,
): Promise<Selector<string> & { partitions?: number }> {
  const said = selector(options)
  const partitions = given({ partitions: options.partitions })
  if (options.all && said.category !== undefined)
    throw new UsageError('--all and --category: give one of them')
  if (options.all || Object.keys(said).length > 0) return { ...said, ...partitions }
  const [known] = await meow.subscriptions({ names: [name] })
  if (!known)
    throw new UsageError(
      `there is no subscription "${name}" yet: say by --category, or --all, what it is to consume`,
    )
  return { ...known.selector, partitions: known.partitions.length, ...partitions }
}

/** The properties that have a value. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as any
}
