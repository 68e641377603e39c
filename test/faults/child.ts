/**
 * An executor as a process of its own. Takes ChildOptions as JSON; says as lines of JSON what it begins
 * `{ b: [position, id, attempt, tick] }` and has done `{ d: [id, at] }` (`tick`: µs of the monotonic clock, which all
 * processes share; `at`: ms since 1970, by the true clock), how it stands `{ state, partitions }`, what is logged `{ warn }`,
 * how its worker ended `{ ended }`. Told `trouble <share>`, so many of its handlers fail, in all the ways there are; told
 * `rejoin` it closes the store and opens another; told `close`, or left alone, it ends. A pipe is written to at once: what
 * was said survives a SIGKILL.
 */
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { Handler, Meow } from '../../src/index.ts'
import { shiftClock } from '../support/clock.ts'
import { random } from '../support/random.ts'
import type { ChildOptions } from './member.ts'

const options = JSON.parse(process.argv[2]!) as ChildOptions
const now = shiftClock(options.clockOffsetMs)
const { connect } = (await import(options.library)) as typeof import('../../src/index.ts')

const dice = random(options.seed)
const say = (line: object) => console.log(JSON.stringify(line))
const tick = () => Number(process.hrtime.bigint() / 1_000n)
const url = new URL(options.url)
url.searchParams.set('options', `-c faults.pid=${process.pid}`) // for the audit
let trouble = 0
let meow: Meow | undefined
let closing = false

function warn({ err }: { err?: unknown }, what: string): void {
  const { code, message, cause } = (err ?? {}) as { code?: string; message?: string; cause?: Error }
  say({ warn: `${what}: ${code ?? ''} ${message ?? ''} ${cause?.message ?? ''}` })
}

/** A moment's work; one whose time is up gives up. */
async function work(signal: AbortSignal): Promise<void> {
  const ms = dice.int(...options.handlerMs)
  if (ms > 0) await delay(ms)
  if ((signal.reason as { code?: string } | undefined)?.code === 'ERR_TIMEOUT') throw signal.reason
}

const hang = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason))
  })

const plain: Handler = async ({ position, id }, { attempt, signal }) => {
  say({ b: [position, id, attempt, tick()] })
  const way = dice.chance(trouble) ? dice.int(0, 4) : -1
  if (way === 0) await hang(signal)
  await work(signal)
  if (way > 0) throw new Error('trouble')
  say({ d: [id, now()] })
}

/** Writes each event into the table `effects`. */
const transactional: Handler = async ({ position, id }, { attempt, signal, client }) => {
  say({ b: [position, id, attempt, tick()] })
  const way = dice.chance(trouble) ? dice.int(0, 4) : -1
  if (way === 0) await hang(signal)
  if (way === 1) throw new Error('before')
  if (way === 2) await client!.query('select 1 / 0')
  await client!.query(`insert into ${options.schema}.effects (position, id) values ($1, $2)`, [position, id])
  await work(signal)
  if (way === 3) throw new Error('after')
  if (way === 4)
    await client!.query('select 1 / 0').catch(() => {}) // and nobody hears of it
  else say({ d: [id, now()] })
}

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
      warn({ err: error }, 'connect') // no server: whoever starts us would try again
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
  if (command === 'trouble') trouble = Number(value)
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
lines.on('close', () => closing || process.exit(3)) // nobody is left to be an executor for
