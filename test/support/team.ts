import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type {
  ConnectOptions,
  Meow,
  ProcessOptions,
  RecordedEvent,
  SubscriptionOptions,
} from '../../src/index.ts'
import { owners } from './audit.ts'
import type { Random } from './random.ts'
import { program } from './typescript.ts'
import { until } from './until.ts'

/** What all executors of a team are started with. */
export interface TeamOptions {
  schema: string
  name: string
  subscription: SubscriptionOptions
  process?: ProcessOptions
  connectOptions?: ConnectOptions
  /** How long a handler takes: least and most, in ms. */
  handlerMs?: [number, number]
  /** Transactional: where to write to (position, stream, version, executor). */
  table?: string
  /** Transactional: how often a handler fails, from 0 to 1. */
  failures?: number
}

export interface Begun {
  readonly position: number
  readonly streamId: string
  readonly version: number
  readonly attempt: number
  /** By the machine's clock, in ms since 1970. */
  readonly at: number
  /** By its monotonic clock, in µs: puts in order what several processes say. */
  readonly tick: number
  readonly pid: number
}

export interface Member {
  readonly pid: number
  readonly begun: Begun[]
  readonly done: { readonly position: number; readonly at: number }[]
  /** What it owns, as it says. */
  partitions: number[]
  state: string
  /** What it logged. */
  readonly warnings: string[]
  /** How its worker ended; undefined: it did not. */
  ended: string | null | undefined
  kill(signal: NodeJS.Signals): void
  /** Closes it; resolves with its exit code. */
  close(): Promise<number | string>
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
}

const running = new Set<Member>()

/** Starts team-child.ts; resolves once it takes part. */
export async function join(options: TeamOptions, dice: Random): Promise<Member> {
  const file = new URL('team-child.ts', import.meta.url).pathname
  const json = JSON.stringify({ ...options, seed: dice.int(0, 2 ** 32 - 1) })
  const child = spawn(process.execPath, [...program(file), json], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const pid = child.pid!
  child.stdin.on('error', () => {})
  const exited = once(child, 'close').then(([code, signal]) => code ?? signal) // `close`: all that it said is heard
  const member: Member = {
    pid,
    begun: [],
    done: [],
    partitions: [],
    state: '',
    warnings: [],
    ended: undefined,
    kill: (signal) => void child.kill(signal),
    close: () => {
      child.stdin.write('close\n')
      return exited
    },
    exited,
  }
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text)
    if (line.b) {
      const [position, streamId, version, attempt, at, tick] = line.b
      member.begun.push({ position, streamId, version, attempt, at, tick, pid })
    } else if (line.d) member.done.push({ position: line.d[0], at: line.d[1] })
    else if (line.state) Object.assign(member, line)
    else if (line.warn) member.warnings.push(`${line.code ?? ''} ${line.warn}`)
    else if ('ended' in line) member.ended = line.ended
  })
  running.add(member)
  exited.then(() => running.delete(member))
  await until(() => member.state !== '' && member.state !== 'stopped', {
    timeoutMs: 30_000,
    what: 'an executor',
  })
  return member
}

/** How they stand: for the message of a test that fails. */
export const describe = (team: readonly Member[]): string =>
  team
    .map(({ pid, state, partitions, begun, done, ended, warnings }) =>
      [
        `${pid}: ${state}, partitions ${partitions}, begun ${begun.length}, done ${done.length}, ended ${ended}`,
        ...warnings.slice(-5),
      ].join('\n  '),
    )
    .join('\n')

/** For `test.after`: ends those that still run. */
export async function killTeam(): Promise<void> {
  const all = [...running]
  for (const { kill } of all) kill('SIGKILL')
  await Promise.all(all.map(({ exited }) => exited))
}

/** Appends events to 50 streams at random, a few each. */
export async function appendAtRandom(
  meow: Meow,
  category: string,
  count: number,
  dice: Random,
): Promise<RecordedEvent[]> {
  const appended: Promise<RecordedEvent[]>[] = []
  for (let left = count; left > 0; ) {
    const size = Math.min(left, dice.int(1, 5))
    const stream = { category, streamId: `${dice.int(1, 50)}` }
    const events = Array.from({ length: size }, () => ({ type: 'Happened', data: { text: 'something' } }))
    appended.push(meow.append(stream, events).then((result) => result.events))
    left -= size
    if (appended.length % 200 === 0) await appended.at(-1)
  }
  return (await Promise.all(appended)).flat()
}

const tick = () => Number(process.hrtime.bigint() / 1_000n)

export interface Takeover {
  /** How long it took until others owned all that was the victim's, in ms. */
  readonly took: number
  /** When the signal was sent, as `Begun.tick`. */
  readonly tick: number
}

/** Sends the signal, and waits until others own all that was the victim's. */
export async function takenOver(name: string, victim: Member, signal: NodeJS.Signals): Promise<Takeover> {
  const owned = await until(
    async () => {
      const mine = (await owners(name)).get(victim.pid) ?? []
      return mine.length >= 2 ? mine : undefined
    },
    { what: 'the victim to own partitions' },
  ).catch((error) => {
    throw new Error(`${error.message}\n${describe([victim])}`)
  })
  victim.kill(signal)
  const signalled = tick()
  await until(
    async () => {
      const now = await owners(name)
      const theirs = [...now].filter(([pid]) => pid !== victim.pid).flatMap(([, partitions]) => partitions)
      return !now.has(victim.pid) && owned!.every((partition) => theirs.includes(partition))
    },
    { what: `others to take over after ${signal}` },
  )
  return { took: Math.round((tick() - signalled) / 1000), tick: signalled }
}
