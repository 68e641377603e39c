/**
 * A process of a siege: takes ChildOptions as JSON, and plays a role. Writes its facts into a file of its own; says `ready`
 * when its role has begun. Lines that it is told: `close`: finish and exit; `rejoin`: close the store and open another; all
 * other commands are the role's. Left alone, it ends.
 */
import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { Meow } from '../../src/index.ts'
import { connect } from '../../src/index.ts'
import { shiftClock } from '../support/clock.ts'
import type { Random } from '../support/random.ts'
import { random } from '../support/random.ts'
import type { Log } from './facts.ts'
import { openLog } from './facts.ts'
import type { ChildOptions } from './processes.ts'

/** What a role works with. */
export interface Stage {
  readonly options: ChildOptions
  readonly meow: Meow
  readonly dice: Random
  readonly log: Log
  say(word: string): void
}

/** A role that is being played. */
export interface Playing {
  tell?(command: string, value: string): void
  /** Ends what is under way, before the store is closed. */
  stop?(): Promise<void>
}

const options = JSON.parse(process.argv[2]!) as ChildOptions
const now = shiftClock(options.clockOffsetMs)
const log = openLog(options.directory, options.role, now)
const dice = random(options.seed)
const { play } = (await import(`./roles/${options.role}.ts`)) as {
  play(stage: Stage): Playing | Promise<Playing>
}
const url = new URL(options.url)
url.searchParams.set('options', `-c faults.pid=${process.pid}`) // for the audit of checkpoints
const LONG_MS = 20_000
let meow: Meow | undefined
let playing: Playing | undefined
let closing = false

const told = ({ err }: { err?: any }, what: string) =>
  log({
    kind: 'warned',
    what: `${what}: ${err?.code ?? ''} ${err?.message ?? ''} ${err?.cause?.message ?? ''}`,
  })

async function open(): Promise<void> {
  while (!closing) {
    try {
      const logger = { debug() {}, info() {}, warn: told, error: told }
      const { schema, connectOptions } = options
      meow = await connect({ connectionString: url.href, schema, logger, ...connectOptions })
      break
    } catch (error) {
      told({ err: error }, 'connect') // no server: its parent would try again
      await delay(100)
    }
  }
  if (!meow || closing) return
  const say = (word: string) => console.log(word)
  playing = await play({ options, meow, dice, log, say })
  say('ready')
}

async function close(): Promise<void> {
  await playing?.stop?.()
  await meow?.close()
  meow = playing = undefined
}

const broke = (error: any) => {
  log({ kind: 'broken', what: error?.stack ?? String(error) })
  process.exit(4)
}
process.on('unhandledRejection', broke).on('uncaughtException', broke)

/** Logs what keeps the process alive, if it is still alive after a while. */
function watch(what: string): void {
  const tell = () =>
    log({ kind: 'warned', what: `${what} after ${LONG_MS} ms: ${process.getActiveResourcesInfo()}` })
  setTimeout(tell, LONG_MS).unref()
}

const sampling = options.sampleMs > 0 ? setInterval(sample, options.sampleMs) : undefined
function sample(): void {
  globalThis.gc?.() // so that only memory that is still in use is left
  const { rss, heapUsed, external } = process.memoryUsage()
  const handles = process.getActiveResourcesInfo().length
  log({
    kind: 'sample',
    values: { rss, heap: heapUsed, external, handles, files: readdirSync('/proc/self/fd').length },
  })
}

let turn = open()
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const [command = '', value = ''] = line.split(' ')
  if (command === 'close') closing = true
  else if (command !== 'rejoin') return playing?.tell?.(command, value)
  turn = turn.then(close).then(() => {
    if (!closing) return open()
    clearInterval(sampling)
    process.stdin.destroy()
    watch('closed, and still there')
  })
  if (closing) watch('not closed yet')
})
lines.on('close', () => closing || process.exit(3)) // its parent has ended
