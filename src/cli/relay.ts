// The command `relay`.
import type { Command } from 'commander'
import type { From } from '../live/observer.ts'
import { defined, integer, json, list, startPosition, UsageError } from './arguments.ts'
import type { Run } from './context.ts'
import { STOP_TIMEOUT_MS } from './context.ts'
import { selector } from './read.ts'
import { count } from './stderr.ts'

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
  subjectPartitions?: number
  leaseMs?: number
  timeoutMs?: number
  once?: true
  stopTimeoutMs: number
}

export function relay(program: Command, run: Run): void {
  program
    .command('relay')
    .description('publish the events of a durable subscription to NATS JetStream')
    .argument('<subscription>', 'name of the subscription; if it exists, it continues where it was')
    .option('--category <names>', 'publish these categories, a,b', list)
    .option('--stream <id>', '… only this stream of the category')
    .option('--types <names>', '… only these types, a,b', list)
    .option('--all', 'publish every category')
    .option(
      '--nats <urls>',
      'addresses of the servers, nats://user:password@host:port, a,b; default: nats://127.0.0.1:4222',
      list,
    )
    .option('--jetstream <name>', 'the JetStream stream; default: any stream that takes the subjects')
    .option('--create', 'create that stream if it does not exist')
    .option(
      '--duplicate-window-ms <ms>',
      'duplicate window of a stream that is created; default: 120000',
      integer(1_000),
    )
    .option('--connection <json>', `other options of NATS's connect, such as {"token": "…"}`)
    .option('--no-check', 'do not check the stream first, for a user that may only publish')
    .option('--prefix <subject>', 'first part of the subjects; default: the schema')
    .option(
      '--from <place>',
      "where a new subscription starts: start, end, after a position, or at a time such as '2026-01-31 14:00'",
      startPosition,
    )
    .option('--partitions <n>', 'number of partitions, which several relays share', integer(1))
    .option('--window <n>', 'at most this many unconfirmed messages; default: 256', integer(1))
    .option(
      '--subject-partitions <n>',
      'put the partition of the stream into the subjects, for the consumers of jetstream()',
      integer(1),
    )
    .option('--lease-ms <ms>', 'how soon a dead relay is replaced; default: 10000', integer(100))
    .option('--timeout-ms <ms>', 'how long to wait for an answer; default: 5000', integer(100))
    .option('--once', 'end when all events are published')
    .option(
      '--stop-timeout-ms <ms>',
      'how long to wait for the broker when told to stop',
      integer(),
      STOP_TIMEOUT_MS,
    )
    .addHelpText(
      'after',
      `
Example:  meowmx relay orders --category order --nats nats://localhost:4222 --jetstream ORDERS --create
An event is published as <prefix>.<category>.<type>, with its id as Nats-Msg-Id. Install @nats-io/transport-node and @nats-io/jetstream.
While NATS is not reachable, the relay waits. If NATS refuses a message, its stream is parked (see meowmx parked).`,
    )
    .action(
      run(async (context, name: string, options: Options) => {
        const { signal, stderr } = context
        const { nats, jetstream, create, connection, check, duplicateWindowMs, timeoutMs } = options
        const { prefix, from, partitions, window, subjectPartitions, leaseMs } = options
        const selected = selector(options)
        if (options.all ? selected.category !== undefined : selected.category === undefined)
          throw new UsageError('give either --category or --all: it says what is published')
        const { natsBroker, relay } = await import('../relay/index.ts')
        const broker = natsBroker({
          check,
          ...(connection === undefined ? {} : { connection: json(connection, '--connection') as object }),
          ...defined({ servers: nats, stream: jetstream, create, duplicateWindowMs, timeoutMs }),
        } as object)
        const meow = await context.open({ listen: true })
        const relaying = relay(meow, name, {
          ...selected,
          broker,
          ...defined({ prefix, from, partitions, window, subjectPartitions, leaseMs }),
        })
        const stop = () => void relaying.stop({ timeoutMs: options.stopTimeoutMs })
        signal.addEventListener('abort', stop)
        if (signal.aborted) stop()
        const progress = stderr.progress('published')
        const subscription = relaying.status$.subscribe(({ state, lag, inFlight }) => {
          progress.update(relaying.published)
          if (options.once && state === 'live' && lag === 0 && inFlight === 0) stop()
        })
        try {
          await relaying.done
        } finally {
          subscription.unsubscribe()
          progress.end()
          stderr.note(
            `published ${count(relaying.published)}, ${count(relaying.duplicates)} of them were duplicates`,
          )
        }
      }),
    )
}
