import { backoff, pauseAfter } from '../core/backoff.ts'
import { now, sleep, systemClock } from '../core/clock.ts'
import { TimeoutError } from '../core/errors.ts'
import type { Database } from '../database/database.ts'
import { isLost, isQueueFull, isReadOnly, isRolledBack, isTransient } from '../database/failures.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import { OutcomeUnknownError, VersionConflictError } from '../events/errors.ts'
import type { Batch, Outcome, Progress } from './batch.ts'
import { Aborted } from './batch.ts'
import { causeOfProjection } from './projections.ts'
import type { Request } from './request.ts'

/** After this many lost races, a batch of several appends is split, and each append is sent alone. */
const MAX_RACES = 5
/** How often a batch is sent again after NOTIFY's queue was full and was made free. */
const MAX_FULL = 5
/** The longest pause between two tries. */
const MAX_PAUSE_MS = 500

/** What became of one request. */
export type Answer = Outcome | Unanswered

/** The request was sent, and its answer was lost. */
export class Unanswered {
  readonly cause: unknown

  constructor(cause: unknown) {
    this.cause = cause
  }
}

interface WriteOptions {
  /** All requests or none. */
  readonly atomic: boolean
  /** Wait for tags that others have locked; otherwise the answers may be `Busy`. Default true. */
  readonly wait?: boolean
  /** Called when another writer got there first. */
  onRace?(): void
}

/**
 * Sends a batch until its outcome is known, for `queryTimeoutMs` at most.
 *
 *     sent -> answered
 *          -> refused by a race, a standby, a full queue -> sent again
 *          -> the answer is lost -> sent again with the same ids, which finds what was written: recovery
 *
 * Recovery is exact because an id is written once. What a server refuses during recovery says nothing about the try whose
 * answer was lost.
 *
 * @throws Unanswered if recovery takes too long; what the server refuses, as it is
 */
export async function write(
  db: Database,
  batch: Pick<Batch, 'run'>,
  requests: readonly Request[],
  { atomic, wait = true, onRace }: WriteOptions,
): Promise<Answer[]> {
  const { queryTimeoutMs, logger } = db.settings
  const began = now()
  let lostAt: number | undefined // when the first answer was lost
  let lookup = false
  let timesFull = 0
  for (let attempt = 1; ; attempt++) {
    const progress: Progress = { sent: false }
    try {
      const outcomes = await batch.run(requests, { atomic, lookup, wait: wait || lookup, progress })
      return outcomes.map((outcome, i) => {
        if (lostAt !== undefined && !isFinal(outcome)) return new Unanswered(outcome)
        return lookup ? asOwn(outcome, requests[i]!) : outcome
      })
    } catch (error) {
      if (isLost(error) && progress.sent && lostAt === undefined) {
        lostAt = now()
        logger.warn({ err: error }, 'the answer to an append was lost; looking it up')
      }
      if (lostAt !== undefined) {
        const isOver = now() - lostAt >= queryTimeoutMs
        if (isOver || !(isTransient(error) || isRace(error))) throw new Unanswered(error)
        await sleep(backoff(attempt, systemClock, { maxMs: MAX_PAUSE_MS }))
      } else if (isReadOnly(error) || (progress.begun && isLost(error))) {
        // A standby that may be about to be promoted; or another server is the primary by now.
        if (now() - began >= queryTimeoutMs) throw error
        await sleep(backoff(attempt, systemClock, { maxMs: MAX_PAUSE_MS }))
      } else if (isQueueFull(error) && timesFull++ < MAX_FULL && (await db.freeNotificationQueue())) {
        logger.warn({ err: error }, "NOTIFY's queue was full; trying again")
      } else if (isRace(error)) {
        // A smaller batch has fewer races to win.
        if (attempt >= MAX_RACES && requests.length > 1 && !atomic) throw error
        if (now() - began >= queryTimeoutMs)
          throw new TimeoutError(
            'an append that lost every race for its streams to other writers',
            queryTimeoutMs,
            error,
          )
        onRace?.()
        if (attempt > 1) await sleep(systemClock.random() * pauseAfter(attempt, { firstMs: 2, maxMs: 50 }))
      } else {
        throw error
      }
      lookup = true
    }
  }
}

/**
 * The outcomes of one call's requests. If one of them was refused for good, that is the outcome of the whole group.
 *
 * @throws OutcomeUnknownError if an answer is missing
 */
export function outcomesOf(requests: readonly Request[], answers: readonly Answer[]): Outcome[] {
  const unanswered = answers.find((answer) => answer instanceof Unanswered)
  const isRefused = answers.some((answer) => answer instanceof Error && !(answer instanceof Aborted))
  if (unanswered && !isRefused) throw outcomeUnknown(requests, unanswered.cause)
  return answers as Outcome[]
}

export function outcomeUnknown(requests: readonly Request[], cause: unknown): OutcomeUnknownError {
  const writes = requests.map(({ stream, expected, events }) => ({
    stream,
    events: events.map(({ id, type, data, metadata, tags }) => ({
      id,
      type,
      data: JSON.parse(data),
      metadata: JSON.parse(metadata),
      ...(tags.length > 0 ? { tags } : {}),
    })),
    expectedVersion: expected,
  }))
  const condition = requests.find((request) => request.condition)?.condition
  return new OutcomeUnknownError(writes, cause, condition?.given)
}

/**
 * Whether this outcome also holds for the try whose answer was lost, even if a frozen backend runs that try later. A refusal does,
 * because a stream only grows, unless the append expects more events than there are yet.
 */
function isFinal(outcome: Outcome): boolean {
  if (!(outcome instanceof VersionConflictError)) return true
  const { expected, actual } = outcome
  return expected === 'no-stream' || (typeof expected === 'number' && expected < actual)
}

/** A lost race for a version or an id, a serialization failure, or a deadlock: the next try sees what the winner wrote. */
function isRace(error: unknown): boolean {
  const cause = causeOfProjection(error)
  const { code, constraint } = (cause ?? {}) as { code?: string; constraint?: string }
  if (code === SQLSTATE.uniqueConstraint) return constraint === 'events_version' || constraint === 'events_id'
  return isRolledBack(cause)
}

/** Ids that this library made are new to the caller: if an earlier try has written them, this call did. */
function asOwn(outcome: Outcome, { lookup }: Request): Outcome {
  return outcome instanceof Error || lookup ? outcome : { ...outcome, deduplicated: false }
}
