// Timers: what is to be appended later, once.
import type pg from 'pg'
import { z } from 'zod'
import type { Appender, StreamWrite } from '../append/append.ts'
import type { Outcome } from '../append/batch.ts'
import type { Request } from '../append/request.ts'
import { ownTransaction } from '../append/transaction.ts'
import { errorToStore } from '../core/error-to-store.ts'
import { SchemaError, ValidationError } from '../core/errors.ts'
import { clientSchema, nameSchema, textSchema } from '../core/fields.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { parse } from '../core/validate.ts'
import type { Database } from '../database/database.ts'
import { hasState, isServerFailure } from '../database/failures.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import { statements } from '../database/statements.ts'
import { DuplicateEventError, VersionConflictError } from '../events/errors.ts'
import type { StreamRef } from '../events/event.ts'
import { retryPause } from '../subscriptions/retry.ts'
import { firing, isLocked } from './lock-limit.ts'
import type { NextDue, TimerSource } from './runner.ts'
import type { Due, ScheduledTimer } from './timer.ts'
import { checkDue, encodeWrite, fromStored, toRequest } from './timer.ts'

/** Options of `schedule` and `unschedule`. */
export interface TimerOptions {
  /** Inside this client's open transaction: the timer exists when the caller commits. */
  client?: SqlClient | undefined
}

/** Options of `scheduled`. */
export interface ScheduledOptions {
  /** How many; default 100, minimum 1, maximum 100_000. */
  limit?: number | undefined
  /** Only keys that begin with this text. */
  prefix?: string | undefined
}

/** @internal */
export const timerOptionsSchema = z.strictObject({ client: clientSchema.optional() })
/** @internal */
export const scheduledOptionsSchema = z.strictObject({
  limit: z.number().int().min(1).max(100_000).default(100),
  prefix: z.union([z.literal(''), textSchema]).default(''),
})

/** How many timers one transaction fires at most: more would hold readers of their categories back. */
const CLAIM = 100
/** As for a handler: with these, all attempts take one to three minutes. */
export const TIMER_RETRY = { maxAttempts: 10, minDelayMs: 100, maxDelayMs: 30_000 }

/** A timer that this process has locked. */
interface Claimed {
  readonly key: string
  /** In microseconds since 1970. */
  readonly due: string
  readonly attempts: number
  readonly stream: StreamRef
  readonly write: string
}

/** Schedules timers, and fires those that are due: appends their events and deletes them, in one transaction. */
export class Timers implements TimerSource {
  readonly name = 'timers of the store'
  readonly isOfStore = true
  readonly #db: Database
  readonly #appender: Appender

  constructor(db: Database, appender: Appender) {
    this.#db = db
    this.#appender = appender
  }

  async schedule(key: string, due: Due, write: StreamWrite, options: TimerOptions = {}): Promise<void> {
    parse(nameSchema, key, 'key')
    const when = checkDue(due, 'due')
    const { stream, json } = encodeWrite(write)
    const { client } = parse(timerOptionsSchema, options, 'options')
    const values = {
      key,
      due: 'at' in when ? when.at.toISOString() : null,
      inMs: 'inMs' in when ? when.inMs : null,
      category: stream.category,
      streamId: stream.streamId,
      write: json,
    }
    await this.#db.query(statements.scheduleTimer, values, client)
  }

  async unschedule(key: string, options: TimerOptions = {}): Promise<boolean> {
    parse(nameSchema, key, 'key')
    const { client } = parse(timerOptionsSchema, options, 'options')
    const [row] = await this.#db.query(statements.unscheduleTimer, { key }, client)
    return row![0] === 't'
  }

  async scheduled(options: ScheduledOptions = {}): Promise<ScheduledTimer[]> {
    const { limit, prefix } = parse(scheduledOptionsSchema, options, 'options')
    const rows = await this.#db.query(statements.scheduled, { prefix, limit })
    return rows.map(([key, due, category, streamId, write, attempts, error, next]) => ({
      key,
      due: new Date(Number(due)),
      stream: { category, streamId },
      ...fromStored(write),
      ...(attempts === '0'
        ? {}
        : {
            failure: {
              attempts: Number(attempts),
              error: error ?? '',
              retryAt: next === null ? null : new Date(Number(next)),
            },
          }),
    }))
  }

  /** Fires a timer now, whether it is due or not. False: there is none. Rejects with what the append is refused for. */
  async run(key: string): Promise<boolean> {
    parse(nameSchema, key, 'key')
    return ownTransaction(this.#db, async (client) => {
      const [timer] = await this.#claim(client, key)
      if (!timer) return false
      const [outcome] = await this.#append(client, [timer])
      if (outcome instanceof Error) throw outcome
      await this.#settle([timer.key], [], client)
      return true
    })
  }

  async next(): Promise<NextDue | undefined> {
    const [row] = await this.#db.query(statements.nextTimers, {})
    return row && { inMs: Number(row[0]), at: Number(row[1]) }
  }

  /** Fires the next timers that are due. Returns how many of them have ended, or were tried. */
  async fire(): Promise<number> {
    const claimed: Claimed[] = []
    try {
      await firing(this.#db, async (client) => {
        claimed.splice(0, Infinity, ...(await this.#claim(client)))
        if (claimed.length === 0) return
        const outcomes = await this.#append(client, claimed)
        const refused = outcomes.flatMap((outcome, i) =>
          outcome instanceof Error ? [this.#failed(claimed[i]!, outcome)] : [],
        )
        const fired = claimed.filter((_, i) => !(outcomes[i] instanceof Error)).map(({ key }) => key)
        await this.#settle(fired, refused, client)
      })
    } catch (error) {
      if (!(isOfTimer(error) || isLocked(error)) || claimed.length === 0) throw error
      // A failure of one fails the whole transaction, so each gets its own.
      const locked = new Set<string>()
      for (const timer of claimed) {
        const stream = JSON.stringify([timer.stream.category, timer.stream.streamId])
        if (locked.has(stream)) await this.#postpone(timer)
        else if (!(await this.#fireAlone(timer))) locked.add(stream)
      }
    }
    return claimed.length
  }

  /** False: another session holds a lock that it needs. */
  async #fireAlone(timer: Claimed): Promise<boolean> {
    const fire = async (client: pg.ClientBase) => {
      const [found] = await this.#claim(client, timer.key)
      if (found?.due !== timer.due || found.attempts !== timer.attempts) return // another process has fired it
      const [outcome] = await this.#append(client, [timer])
      if (outcome instanceof Error) await this.#settle([], [this.#failed(timer, outcome)], client)
      else await this.#settle([timer.key], [], client)
    }
    try {
      await firing(this.#db, fire, true)
    } catch (error) {
      if (isLocked(error)) {
        this.#db.settings.logger.debug({ err: error, timer: timer.key }, 'a timer waits for a lock')
        await this.#postpone(timer)
        return false
      }
      if (!isOfTimer(error)) throw error
      await this.#settle([], [this.#failed(timer, error)])
    }
    return true
  }

  async #postpone({ key, due }: Claimed): Promise<void> {
    await this.#db.query(statements.postponeTimer, { key, due: Number(due) })
  }

  async #claim(client: pg.ClientBase, key: string | null = null): Promise<Claimed[]> {
    const rows = await this.#db.query(statements.claimTimers, { limit: CLAIM, key }, client)
    return rows.map(([key, due, attempts, category, streamId, write]) => ({
      key,
      due,
      attempts: Number(attempts),
      stream: { category, streamId },
      write,
    }))
  }

  /** Appends what these timers hold, in their order. If one is refused, the others are not affected. */
  async #append(client: pg.ClientBase, timers: readonly Claimed[]): Promise<Outcome[]> {
    const requests = timers.map(({ key, due, stream, write }): Request | Error => {
      try {
        return toRequest(key, due, stream, write)
      } catch (error) {
        return error as Error // written by plain SQL
      }
    })
    const good = requests.filter((request): request is Request => !(request instanceof Error))
    const outcomes = good.length === 0 ? [] : await this.#appender.appendEach(good, client)
    let next = 0
    return requests.map((request) => (request instanceof Error ? request : outcomes[next++]!))
  }

  /** What is stored of a failure. It is logged here. */
  #failed({ key, due, attempts, stream }: Claimed, error: unknown): Failed {
    const { clock, settings } = this.#db
    const attempt = attempts + 1
    const details = { err: error, timer: key, attempt, ...stream }
    const isLast = attempt >= TIMER_RETRY.maxAttempts || isFinal(error)
    if (isLast)
      settings.logger.error(
        details,
        `timer "${key}" could not append to stream "${stream.category}/${stream.streamId}" and is kept as failed: schedule it again, run it (runTimer, meowmx timers run), or unschedule it`,
      )
    else settings.logger.warn(details, `timer "${key}" could not append; trying again`)
    return {
      key,
      due,
      error: errorToStore(error),
      againMs: isLast ? null : retryPause(attempt, TIMER_RETRY, clock),
    }
  }

  async #settle(fired: readonly string[], failed: readonly Failed[], client?: SqlClient): Promise<void> {
    const values = {
      fired,
      failed: failed.map(({ key }) => key),
      due: failed.map(({ due }) => Number(due)),
      errors: failed.map(({ error }) => error),
      againMs: failed.map(({ againMs }) => againMs),
    }
    await this.#db.query(statements.settleTimers, values, client)
  }
}

interface Failed {
  readonly key: string
  readonly due: string
  readonly error: string
  readonly againMs: number | null
}

/** Whether the timer caused the error, not the server or the privileges of this process. */
export function isOfTimer(error: unknown): boolean {
  return !isServerFailure(error) && !hasState(error, SQLSTATE.noRights) && !(error instanceof SchemaError)
}

/** Whether every later attempt must fail, too: a stream only grows, and an id is used once. */
export function isFinal(error: unknown): boolean {
  if (error instanceof DuplicateEventError || error instanceof ValidationError) return true
  if (!(error instanceof VersionConflictError)) return false
  const { expected, actual } = error
  return expected === 'no-stream' || (typeof expected === 'number' && expected < actual)
}
