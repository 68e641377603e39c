/**
 * One of several executors that share a subscription, as a process of its own. Takes a TeamOptions as JSON; says as lines
 * of JSON what it begins `{ b: [position, streamId, version, attempt, at, tick] }` and what is done `{ d: [position, at] }`
 * (`at`: ms since 1970, `tick`: µs of the monotonic clock, which all processes share), how it stands `{ state, partitions }`, what is logged `{ warn }`, how its worker ended
 * `{ ended }`; told `close` on stdin, it closes. A pipe is written to at once: what was said survives a SIGKILL.
 */
import { createInterface } from 'node:readline'
import type { Handler } from '../../src/index.ts'
import { connect } from '../../src/index.ts'
import { random } from './random.ts'
import type { TeamOptions } from './team.ts'
import { theWay } from './ways.ts'

const options = JSON.parse(process.argv[2]!) as TeamOptions & { seed: number }
const {
  schema,
  table,
  subscription,
  process: how,
  handlerMs = [0, 0],
  failures = 0,
  seed,
  connectOptions,
} = options
const dice = random(seed)
const say = (line: object) => console.log(JSON.stringify(line))
const warn = (said: { err?: Error }, what: string) =>
  say({
    warn: `${what}: ${said.err?.message ?? ''}`,
    code: (said.err as { code?: string } | undefined)?.code,
  })

const meow = await connect(
  theWay({
    connectionString: process.env.DATABASE_URL!,
    schema,
    logger: { debug() {}, info() {}, warn, error: warn },
    ...connectOptions,
  }),
)
const durable = meow.subscription(options.name, subscription)
let before = ''
durable.status$.subscribe(({ state, partitions }) => {
  const line = JSON.stringify({ state, partitions })
  if (line !== before) console.log(line)
  before = line
})

const tick = () => Number(process.hrtime.bigint() / 1_000n)
const pause = () => {
  const ms = dice.int(...handlerMs)
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined
}

const plain: Handler = async ({ position, streamId, version }, { attempt }) => {
  say({ b: [position, streamId, version, attempt, Date.now(), tick()] })
  await pause()
  say({ d: [position, Date.now()] })
}

/** Writes each event into the table, and now and then fails in one of all the ways there are. */
const transactional: Handler = async ({ position, streamId, version }, { attempt, client }) => {
  say({ b: [position, streamId, version, attempt, Date.now(), tick()] })
  const way = dice.chance(failures) ? dice.int(0, 3) : -1
  if (way === 0) throw new Error('before')
  if (way === 1) await client!.query('select 1 / 0')
  await client!.query(`insert into ${table} (position, stream, version, executor) values ($1, $2, $3, $4)`, [
    position,
    streamId,
    version,
    process.pid,
  ])
  await pause()
  if (way === 2) throw new Error('after')
  if (way === 3) await client!.query('select 1 / 0').catch(() => {}) // and nobody notices it
}

const worker = durable.process(how?.transactional ? transactional : plain, how as object)
worker.done.then(
  () => say({ ended: null }),
  (error) => say({ ended: String(error?.stack ?? error) }),
)

createInterface({ input: process.stdin }).on('line', (command) => {
  if (command === 'close') meow.close().then(() => process.stdin.destroy())
})
