import type { Command } from 'commander'
import type { From } from '../live/observer.ts'
import { integer, json, list, place, UsageError } from './arguments.ts'
import type { Run } from './context.ts'
import { STOP_TIMEOUT_MS } from './context.ts'
import { selector } from './read.ts'
import { count } from './talk.ts'

interface Options {
  category?: string[]
  stream?: string
  types?: string[]
  all?: true
  nats?: string[]
  jetstream?: string
  create?: true
  duplicateWindowMs?: number
  connection?: string
  check: boolean
  prefix?: string
  from?: From
  partitions?: number
  window?: number
  leaseMs?: number
  timeoutMs?: number
  once?: true
  stopTimeoutMs: number
}

export function relay(program: Command, run: Run): void {
  program
    .command('relay')
    .description('publish what a durable subscription selects to NATS JetStream')
    .argument('<subscription>', 'its name; one that exists goes on where it was')
    .option('--category <names>', 'what is published: events of these categories, a,b', list)
    .option('--stream <id>', '… of this stream')
    .option('--types <names>', '… of these types, a,b', list)
    .option('--all', '… of every category')
    .option(
      '--nats <urls>',
      'the servers, nats://user:password@host:port, a,b; default: nats://127.0.0.1:4222',
      list,
    )
    .option('--jetstream <name>', 'the JetStream stream; default: whichever takes the subjects')
    .option('--create', 'make that stream where there is none')
    .option('--duplicate-window-ms <ms>', 'of a stream that is made; default: 120000', integer(1_000))
    .option('--connection <json>', `all else that NATS's connect takes, such as {"token": "…"}`)
    .option('--no-check', 'do not look at the stream first, for a user who may only publish')
    .option('--prefix <subject>', 'what subjects begin with; default: the schema')
    .option('--from <place>', 'where a new one begins: start, end or the position before', place)
    .option('--partitions <n>', 'parts that several relays share, by stream', integer(1))
    .option('--window <n>', 'messages on their way at most; default: 256', integer(1))
    .option('--lease-ms <ms>', 'how soon a dead relay is replaced; default: 10000', integer(100))
    .option('--timeout-ms <ms>', 'an answer that takes longer is lost; default: 5000', integer(100))
    .option('--once', 'end when all is published')
    .option(
      '--stop-timeout-ms <ms>',
      'when told to end: how long the broker is waited for',
      integer(),
      STOP_TIMEOUT_MS,
    )
    .addHelpText(
      'after',
      `
Example:  meowmx relay orders --category order --nats nats://localhost:4222 --jetstream ORDERS --create
An event goes to <prefix>.<category>.<type>, with its id as Nats-Msg-Id. Needs @nats-io/transport-node and @nats-io/jetstream.
While NATS is away it waits; what NATS refuses is set aside with its stream (meowmx parked).`,
    )
    .action(
      run(async (context, name: string, options: Options) => {
        const { signal, talk } = context
        const { nats, jetstream, create, connection, check, duplicateWindowMs, timeoutMs } = options
        const { prefix, from, partitions, window, leaseMs } = options
        const selected = selector(options)
        if (options.all ? selected.category !== undefined : selected.category === undefined)
          throw new UsageError('say by --category, or by --all, what is to be published')
        const { natsBroker, relay } = await import('../relay/index.ts')
        const broker = natsBroker({
          check,
          ...(connection === undefined ? {} : { connection: json(connection, '--connection') as object }),
          ...given({ servers: nats, stream: jetstream, create, duplicateWindowMs, timeoutMs }),
        } as object)
        const meow = await context.open({ listen: true })
        const relaying = relay(meow, name, {
          ...selected,
          broker,
          ...given({ prefix, from, partitions, window, leaseMs }),
        })
        const stop = () => void relaying.stop({ timeoutMs: options.stopTimeoutMs })
        signal.addEventListener('abort', stop)
        if (signal.aborted) stop()
        const progress = talk.progress('published')
        const subscription = relaying.status$.subscribe(({ state, lag, inFlight }) => {
          progress.update(relaying.published)
          if (options.once && state === 'live' && lag === 0 && inFlight === 0) stop()
        })
        try {
          await relaying.done
        } finally {
          subscription.unsubscribe()
          progress.end()
          talk.note(`published ${count(relaying.published)}, ${count(relaying.duplicates)} of them again`)
        }
      }),
    )
}

/** The properties that have a value. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as any
}
