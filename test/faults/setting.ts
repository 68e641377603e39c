import { random } from '../support/random.ts'
import type { ChildOptions } from './member.ts'

export const SCHEMA = 'faults'
export const NAME = 'faults'
export const EXECUTORS = 3
export const PARTITIONS = 6
export const SELECTED = ['a', 'b']
export const MAX_IN_FLIGHT = 32
export const QUERY_TIMEOUT_MS = 1_500
const LEASE_MS = 1_500

/** The options of a run, chosen by its seed. */
export interface Setting {
  readonly name: string
  readonly transactional: boolean
  /** Nobody polls, so a connection that loses something must report it. */
  readonly push: boolean
  readonly pollMs: number
  /** Events that wait in the beginning, at most three times as many. */
  readonly backlog: number
  readonly executor: Omit<ChildOptions, 'library' | 'url' | 'seed' | 'clockOffsetMs'>
}

export function settingOf(seed: number): Setting {
  const dice = random(seed)
  const transactional = seed % 2 === 1
  const push = Math.floor(seed / 2) % 2 === 1
  const pollMs = push ? 60_000 : 500
  const concurrency = transactional ? 1 : dice.pick([1, 4, 8])
  return {
    name: `${transactional ? 'transactional' : `concurrency ${concurrency}`}, poll ${pollMs} ms`,
    transactional,
    push,
    pollMs,
    backlog: dice.int(0, 800),
    executor: {
      schema: SCHEMA,
      name: NAME,
      subscription: {
        category: SELECTED,
        partitions: PARTITIONS,
        leaseMs: LEASE_MS,
        maxInFlight: MAX_IN_FLIGHT,
      },
      process: {
        transactional,
        concurrency,
        timeoutMs: 1_000,
        retry: { maxAttempts: 4, minDelayMs: 20, maxDelayMs: 300 },
      },
      connectOptions: { pollIntervalMs: pollMs, queryTimeoutMs: QUERY_TIMEOUT_MS },
      handlerMs: [0, dice.pick([0, 2, 10])],
    },
  }
}

/**
 * How long it may take, after the last fault, until nothing is left to handle: a poll, if a notification may be lost silently;
 * the lease of a dead executor; the check that finds a dead listener (2 s and a query's timeout), the longest pauses between
 * tries (2 s to connect, 0.3 s to handle). The time of the work itself is added.
 */
export const recoveryMs = ({ push, pollMs }: Setting): number =>
  (push ? 0 : pollMs) + LEASE_MS + 2_000 + QUERY_TIMEOUT_MS + 2 * 2_000

/** The same if only a notification was lost: a poll, or the pause before the listener connects again. */
export const noticeMs = ({ push, pollMs }: Setting): number => (push ? 2_000 : pollMs)
