/**
 * A process in which everything that close() waits for hangs. It closes the store, says what became of each as
 * JSON, and then has to end by itself, for it never calls process.exit(). Takes the schema, and the time limits of the calls of
 * close() as JSON.
 */
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { firstValueFrom } from 'rxjs'
import { connect, handle } from '../../src/index.ts'
import { relay } from '../../src/relay/index.ts'
import { directUrl } from './store.ts'
import { until } from './until.ts'
import { theWay } from './ways.ts'

const [schema, limits] = process.argv.slice(2) as [string, string]
const never = () => new Promise<never>(() => {})
const outcomes: Record<string, string> = {}
const warnings: string[] = []
const note = (what: string, promise: Promise<unknown>) =>
  void promise.then(
    () => {
      outcomes[what] = 'resolved'
    },
    (error) => {
      outcomes[what] = error.code ?? error.name
    },
  )
const warn = (_: unknown, message: string) => void warnings.push(message)
const meow = await connect(
  theWay({
    connectionString: process.env.DATABASE_URL!,
    schema,
    queryTimeoutMs: 600_000, // nothing ends by itself
    logger: { debug() {}, info() {}, warn, error: warn },
  }),
)
const event = { type: 'Happened', data: {} }
const begun = new Set<string>()
const hang = (what: string) => () => {
  begun.add(what)
  return never()
}
await meow.append({ category: 'c', streamId: '1' }, event)

const leaseMs = 600_000
const subscription = (name: string) => meow.subscription(name, { category: 'c', leaseMs })
const plain = subscription('plain').process(hang('plain'))
note('a worker', subscription('worker').process(hang('worker')).done)
const transactional = subscription('transactional').process(
  (_, { client }) => {
    begun.add('transactional')
    return client.query('select pg_sleep(600)')
  },
  { transactional: true },
)
note('a transactional worker', transactional.done)
const publishing = relay(meow, 'relay', {
  category: 'c',
  leaseMs,
  broker: { open: async () => {}, close: async () => {}, publish: hang('relay') },
})
note('a relay', publishing.done)
subscription('deliveries')
  .deliveries()
  .subscribe({
    next: () => begun.add('deliveries'),
    complete: () => {
      outcomes['deliveries()'] = 'complete'
    },
  })
subscription('handle')
  .deliveries()
  .pipe(
    handle((_, { signal }) => {
      signal.addEventListener('abort', () => {
        outcomes['the signal of handle()'] = 'aborted'
      })
      begun.add('handle')
      return never()
    }),
  )
  .subscribe({
    complete: () => {
      outcomes['handle()'] = 'complete'
    },
  })
note('waitFor()', meow.waitFor('worker', 1_000, { timeoutMs: 600_000 }))
note('events()', firstValueFrom(meow.events({ category: 'c' }, { from: 'end' })))

// Somebody else's transaction is about to append to the same stream.
const other = new pg.Client({ connectionString: directUrl() })
await other.connect()
await other.query('begin')
await meow.append({ category: 'locked', streamId: '1' }, event, { client: other })
const own = new pg.Client({ connectionString: directUrl() })
await own.connect()
own.on('error', () => {})
await own.query('begin')
note('an append of the caller', meow.append({ category: 'locked', streamId: '1' }, event, { client: own }))
note('an append', meow.append({ category: 'locked', streamId: '1' }, event))
meow.project('projected', hang('projection'))
note('an append with a projection', meow.append({ category: 'projected', streamId: '1' }, event))
const waiting = async () => {
  const { rows } = await other.query(
    `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like '%"${schema}"%'`,
  )
  return rows[0].n
}
await until(async () => begun.size === 7 && (await waiting()) === 2, {
  timeoutMs: 30_000,
  what: `all to hang: ${[...begun]}`,
})

note('stop() before close()', plain.stop())
const began = performance.now()
const closing = (JSON.parse(limits) as ({ timeoutMs: number } | null)[]).map((options) =>
  options ? meow.close(options) : meow.close(),
)
await Promise.all(closing)
const took = performance.now() - began
await delay(100)
// The caller's own client is not ended by the store.
;(own as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
await other.query('rollback')
await other.end()
const left = await firstValueFrom(meow.status$).then(
  (status) => status.state,
  (error) => error.name, // no value: it is complete
)
console.log(JSON.stringify({ took, outcomes, warnings, left }))
