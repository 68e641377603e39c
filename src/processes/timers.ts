// The timers of a process manager's instances.
import type pg from 'pg'
import type { Appender } from '../append/append.ts'
import { errorToStore } from '../core/error-to-store.ts'
import type { Database } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import { retryPause } from '../subscriptions/retry.ts'
import { firing, isLocked } from '../timers/lock-limit.ts'
import type { NextDue, TimerSource } from '../timers/runner.ts'
import { isOfTimer } from '../timers/timers.ts'
import type { Checked, TimerInput } from './define.ts'
import type { Locked } from './instances.ts'
import { InputFailed, Instances } from './instances.ts'
import type { Cause } from './reaction.ts'

/** How many timers one transaction fires at most. */
const CLAIM = 100

/** A timer whose instance this process has locked. */
interface Claimed {
  readonly name: string
  readonly due: number
  readonly attempts: number
  readonly cause: Cause
  readonly instance: Locked
}

/** Gives timers that are due to their instances, as inputs. */
export class ProcessTimers implements TimerSource {
  readonly name: string
  readonly #db: Database
  readonly #appender: Appender
  readonly #manager: Checked
  readonly #onStop: (error: unknown) => void
  #firing: Promise<unknown> = Promise.resolve()
  #isStopped = false

  /** `onStop` is called if a timer has failed for the last time and the process manager is to stop. */
  constructor(db: Database, appender: Appender, manager: Checked, onStop: (error: unknown) => void) {
    this.name = manager.name
    this.#db = db
    this.#appender = appender
    this.#manager = manager
    this.#onStop = onStop
  }

  /** Resolves when no transaction of these timers is under way. */
  get idle(): Promise<unknown> {
    return this.#firing.catch(() => {})
  }

  async next(): Promise<NextDue | undefined> {
    const [row] = await this.#db.query(statements.nextProcessTimers, { process: this.name })
    return row && { inMs: Number(row[0]), at: Number(row[1]) }
  }

  /** Then it tries no further timer of the batch alone. */
  stop(): void {
    this.#isStopped = true
  }

  fire(): Promise<number> {
    const firing = this.#fire()
    this.#firing = firing
    return firing
  }

  async #fire(): Promise<number> {
    const claimed: Claimed[] = []
    try {
      await firing(this.#db, async (client) => {
        claimed.splice(0, Infinity, ...(await this.#claim(client)))
        await this.#react(client, claimed)
      })
    } catch (error) {
      if (!(isOfTimer(error) || isLocked(error)) || claimed.length === 0) throw error
      for (const timer of claimed) {
        if (this.#isStopped) break
        await this.#fireAlone(timer)
      }
    }
    return claimed.length
  }

  async #fireAlone(timer: Claimed): Promise<void> {
    const { name, due, attempts, instance } = timer
    try {
      const fire = async (client: pg.ClientBase) => {
        const [found] = await this.#claim(client, instance.id, name)
        if (found?.due === due && found.attempts === attempts) await this.#react(client, [found])
      }
      await firing(this.#db, fire, true)
    } catch (error) {
      if (isLocked(error)) {
        const values = { process: this.name, id: instance.id, name, due }
        this.#db.settings.logger.debug(
          { err: error, ...values },
          'a timer of a process manager waits for a lock',
        )
        await this.#db.query(statements.postponeProcessTimer, values)
        return
      }
      if (!isOfTimer(error)) throw error
      await this.#failed(timer, error instanceof InputFailed ? error.cause : error)
    }
  }

  async #claim(client: pg.ClientBase, id: string | null = null, name: string | null = null) {
    const values = { process: this.name, limit: CLAIM, id, name }
    const rows = await this.#db.query(statements.claimProcessTimers, values, client)
    return rows.map(
      ([id, name, due, attempts, cause, state, version, now]): Claimed => ({
        name,
        due: Number(due),
        attempts: Number(attempts),
        cause: JSON.parse(cause),
        instance: { id, state, version: Number(version), ended: false, now: Number(now) },
      }),
    )
  }

  async #react(client: pg.ClientBase, timers: readonly Claimed[]): Promise<void> {
    const instances = new Instances(
      this.#manager,
      timers.map(({ instance }) => instance),
    )
    for (const { instance, name, due, cause } of timers) {
      const input: TimerInput = { type: '$timer', name, due: new Date(due) }
      instances.fire(instance.id, name, { input, cause })
    }
    await instances.save(this.#db, this.#appender, client)
  }

  async #failed({ name, due, attempts, instance }: Claimed, error: unknown): Promise<void> {
    const { clock, settings } = this.#db
    const { retry, onExhausted } = this.#manager
    const attempt = attempts + 1
    const isLast = attempt >= retry.maxAttempts
    const details = { err: error, process: this.name, instance: instance.id, timer: name, attempt }
    if (!isLast) settings.logger.warn(details, 'a timer of a process manager failed; trying again')
    else
      settings.logger.error(
        details,
        onExhausted === 'stop'
          ? 'a timer of a process manager failed for the last time, so the process manager stops: remove the cause and start it again'
          : 'a timer of a process manager failed for the last time and is kept as failed: remove the cause, then retryProcessTimers() tries it again',
      )
    const againMs = isLast ? null : retryPause(attempt, retry, clock)
    const values = { process: this.name, id: instance.id, name, due, error: errorToStore(error), againMs }
    if (isLast && onExhausted === 'stop') return this.#onStop(error)
    await this.#db.query(statements.failProcessTimer, values)
  }
}
