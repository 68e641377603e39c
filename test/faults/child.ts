/**
 * An executor as a process of its own. Takes ChildOptions as JSON; says as lines of JSON what it begins
 * `{ b: [position, id, attempt, tick] }` and has done `{ d: [id, at] }` (`tick`: µs of the monotonic clock, which all
 * processes share; `at`: ms since 1970, by the true clock), how it stands `{ state, partitions }`, what is logged `{ warn }`,
 * how its worker ended `{ ended }`. Told `trouble <share>`, this share of its handlers fails, in every possible way; told
 * `rejoin` it closes the store and opens another; told `close`, or left alone, it ends. A pipe is written to at once: what
 * was said survives a SIGKILL.
 */
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { Meow } from '../../src/index.ts'
import { shiftClock } from '../support/clock.ts'
import { random } from '../support/random.ts'
import { handlers } from './handlers.ts'
import type { ChildOptions } from './member.ts'

const options = JSON.parse(process.argv[2]!) as ChildOptions
const now = shiftClock(options.clockOffsetMs)
const { connect } = (await import(options.library)) as typeof import('../../src/index.ts')

const say = (line: object) => console.log(JSON.stringify(line))
const tick = () => Number(process.hrtime.bigint() / 1_000n)
const url = new URL(options.url)
url.searchParams.set('options', `-c faults.pid=${process.pid}`) // for the audit
let meow: Meow | undefined
let closing = false

function warn({ err }: { err?: unknown }, what: string): void {
  const { code, message, cause } = (err ?? {}) as { code?: string; message?: string; cause?: Error }
  say({ warn: `${what}: ${code ?? ''} ${message ?? ''} ${cause?.message ?? ''}` })
}

const { plain, transactional, trouble } = handlers({
  begin: ({ position, id }, attempt) => say({ b: [position, id, attempt, tick()] }),
  done: ({ id }) => say({ d: [id, now()] }),
  // Writes each event into the table `effects`.
  effect: ({ position, id }, client) =>
    client.query(`insert into ${options.schema}.effects (position, id) values ($1, $2)`, [position, id]),
  dice: random(options.seed),
  handlerMs: options.handlerMs,
})

async function open(): Promise<void> {
  while (!closing) {
    try {
      meow = await connect({
        connectionString: url.href,
        schema: options.schema,
        logger: { debug() {}, info() {}, warn, error: warn },
        ...options.connectOptions,
      })
      break
    } catch (error) {
      warn({ err: error }, 'connect') // no server: its parent would try again
      await delay(100)
    }
  }
  if (!meow || closing) return
  const subscription = meow.subscription(options.name, options.subscription)
  subscription.status$.subscribe(({ state, partitions }) => say({ state, partitions }))
  const { process: how } = options
  const worker = how.transactional
    ? subscription.process(transactional, { ...how, transactional: true })
    : subscription.process(plain, { ...how, transactional: false })
  worker.done.then(
    () => say({ ended: null }),
    (error) => say({ ended: String(error?.stack ?? error) }),
  )
}

let turn = open()
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const [command, value] = line.split(' ')
  if (command === 'trouble') trouble(Number(value))
  const rejoins = command === 'rejoin'
  if (command === 'close') closing = true
  if (!rejoins && !closing) return
  turn = turn
    .then(() => meow?.close())
    .then(() => {
      meow = undefined
      if (rejoins && !closing) return open()
      if (closing) process.stdin.destroy()
    })
})
lines.on('close', () => closing || process.exit(3)) // its parent has ended
