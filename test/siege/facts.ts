import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** One event as the log of a process names it. */
export type Told = readonly [id: string, version: number, position: number]

/** What a process says that it saw or did. */
export type Fact =
  /** A writer is about to write events with these ids, all or none. */
  | { kind: 'try'; n: number; what: string; ids: readonly string[]; transaction?: number }
  /** The answer it got: written, not written, or unknown. */
  | { kind: 'told'; n: number; outcome: 'done' | 'refused' | 'unknown' }
  /** The events that an append returned. */
  | { kind: 'answer'; n: number; deduplicated: boolean; events: readonly Told[] }
  | { kind: 'conflict'; n: number; stream: string; expected: number | string; actual: number }
  /** A handler begins an event, and has done its work. */
  | { kind: 'begun'; subscription: string; id: string; position: number }
  | { kind: 'done'; subscription: string; id: string; position: number }
  /** An observer begins after a position; categories null: all. */
  | { kind: 'observing'; observer: string; categories: readonly string[] | null; after: number }
  | { kind: 'seen'; observer: string; id: string; position: number }
  /** It ended, by an error unless that is missing. */
  | { kind: 'observed'; observer: string; error?: string }
  /** A page that `read` returned. */
  | {
      kind: 'page'
      categories: readonly string[] | null
      after: number
      positions: readonly number[]
      position: number
      horizon: number
      full: boolean
    }
  /** Something that must not happen: a worker that ended, or an unexpected error. */
  | { kind: 'broken'; what: string }
  /** Logged by the library as a warning or an error. */
  | { kind: 'warned'; what: string }
  | { kind: 'sample'; values: Readonly<Record<string, number>> }

/** A fact, with the process that says it and the time. */
export type Line = Fact & {
  readonly pid: number
  /** In ms since 1970, by the machine's clock. */
  readonly at: number
  /** In µs of the monotonic clock, which all processes of the machine share. */
  readonly tick: number
}

export type Log = (fact: Fact) => void

/** A file of this process alone. Each fact is written at once, so that what was said survives a SIGKILL. */
export function openLog(
  directory: string,
  name: string,
  now: () => number = Date.now,
): Log & { close(): void } {
  const file = openSync(join(directory, `${name}-${process.pid}.jsonl`), 'a')
  const log = (fact: Fact) => {
    const tick = Number(process.hrtime.bigint() / 1_000n)
    writeSync(file, `${JSON.stringify({ pid: process.pid, at: now(), tick, ...fact })}\n`)
  }
  return Object.assign(log, { close: () => closeSync(file) })
}

/** All that the processes of a run said, each file in its order. The last line of one that was killed may be torn. */
export function readLogs(directory: string): Line[] {
  const files = readdirSync(directory).filter((file) => file.endsWith('.jsonl'))
  return files.flatMap((file) => {
    const lines = readFileSync(join(directory, file), 'utf8').split('\n')
    lines.pop() // what follows the last line feed
    return lines.map((line) => JSON.parse(line) as Line)
  })
}
