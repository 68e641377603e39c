// Runs process managers, and shows their instances.
import type pg from 'pg'
import { z } from 'zod'
import type { Appender } from '../append/append.ts'
import { nameSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import type { Database } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import type { RecordedEvent } from '../events/event.ts'
import { selectorOf } from '../events/selector.ts'
import { SubscriptionNotFoundError } from '../subscriptions/errors.ts'
import type { Subscriptions } from '../subscriptions/subscriptions.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { TimerRunner } from '../timers/runner.ts'
import type { TimerFailure } from '../timers/timer.ts'
import type { Checked, ProcessManager } from './define.ts'
import { checkProcessManager } from './define.ts'
import { InputFailed, Instances } from './instances.ts'
import { correlate } from './reaction.ts'
import { ProcessTimers } from './timers.ts'
import { ProcessWorker } from './worker.ts'

/** An instance of a process manager. */
export interface ProcessInstance<S = any> {
  readonly id: string
  /** As it is stored: of an older version, if no input has come since. */
  readonly state: S
  /** Its timers, in the order of their times. */
  readonly timers: ProcessTimer[]
  readonly updatedAt: Date
  /** Whether it ignores inputs. It is deleted when `keepEndedMs` is over. */
  readonly ended: boolean
}

/** A timer of an instance. */
export interface ProcessTimer {
  readonly name: string
  readonly due: Date
  /** Present if it was due and its input failed. */
  readonly failure?: TimerFailure
}

/** Options of `processInstances`. */
export interface ProcessInstancesOptions {
  /** Only this instance. */
  id?: string | undefined
  /** How many; default 100, minimum 1, maximum 100_000. */
  limit?: number | undefined
}

/** @internal */
export const instancesOptionsSchema = z.strictObject({
  id: nameSchema.optional(),
  limit: z.number().int().min(1).max(100_000).default(100),
})
const retryOptionsSchema = z.strictObject({ id: nameSchema.optional() })

/** Process managers in PostgreSQL: each is a transactional subscription with instances. @internal */
export class Processes {
  readonly #db: Database
  readonly #appender: Appender
  readonly #subscriptions: Subscriptions
  readonly #runner: TimerRunner

  constructor(db: Database, appender: Appender, subscriptions: Subscriptions, runner: TimerRunner) {
    this.#db = db
    this.#appender = appender
    this.#subscriptions = subscriptions
    this.#runner = runner
  }

  run(definition: ProcessManager<any, any, any>): Worker {
    const manager = checkProcessManager(definition)
    const { name, partitions, leaseMs, from, retry, outage, onExhausted, batchSize } = manager
    const subscription = this.#subscriptions.get(name, {
      ...selectorOf(definition),
      ...(from === undefined ? {} : { from }),
      partitions,
      leaseMs,
    })
    const worker = subscription.processBatches(
      (events, { client }) =>
        this.#handle(manager, events, client).catch((error) => {
          throw error instanceof InputFailed ? error.cause : error
        }),
      { transactional: true, retry, outage, onExhausted, batchSize },
    )
    return new ProcessWorker(worker, this.#runner, this.#db.clock, (onStop) => {
      return new ProcessTimers(this.#db, this.#appender, manager, onStop)
    })
  }

  async #handle(manager: Checked, events: readonly RecordedEvent[], client: pg.ClientBase): Promise<void> {
    const inputs = events.flatMap((event) => {
      const id = correlate(manager, event)
      return id === null ? [] : [{ id, event }]
    })
    if (inputs.length === 0) return
    const values = {
      process: manager.name,
      ids: [...new Set(inputs.map(({ id }) => id))],
      initial: manager.initialJson,
      version: manager.version,
    }
    const rows = await this.#db.query(statements.lockInstances, values, client)
    const locked = rows.map(([id, state, version, ended, now]) => ({
      id,
      state,
      version: Number(version),
      ended: ended === 't',
      now: Number(now),
    }))
    const instances = new Instances(manager, locked)
    for (const { id, event } of inputs) instances.apply(id, { input: event, cause: event })
    await instances.save(this.#db, this.#appender, client)
  }

  async instances(name: string, options: ProcessInstancesOptions = {}): Promise<ProcessInstance[]> {
    parse(nameSchema, name, 'name')
    const { id = null, limit } = parse(instancesOptionsSchema, options, 'options')
    const rows = await this.#db.query(statements.processInstances, { process: name, id, limit })
    if (rows.length === 0) await this.#mustExist(name)
    return rows.map(([id, state, , updatedAt, ended, timers]) => ({
      id,
      state: JSON.parse(state),
      timers: (JSON.parse(timers) as StoredTimer[]).map(toTimer),
      updatedAt: new Date(Number(updatedAt)),
      ended: ended === 't',
    }))
  }

  async retryTimers(name: string, options: { id?: string | undefined } = {}): Promise<number> {
    parse(nameSchema, name, 'name')
    const { id = null } = parse(retryOptionsSchema, options, 'options')
    await this.#mustExist(name)
    const [row] = await this.#db.query(statements.retryProcessTimers, { process: name, id })
    return Number(row![0])
  }

  async delete(name: string, id: string): Promise<boolean> {
    parse(nameSchema, name, 'name')
    parse(nameSchema, id, 'id')
    const [row] = await this.#db.query(statements.deleteProcessInstance, { process: name, id })
    return row![0] === 't'
  }

  async #mustExist(name: string): Promise<void> {
    const rows = await this.#db.query(statements.subscriptionNamed, { name })
    if (rows.length === 0) throw new SubscriptionNotFoundError(name)
  }
}

interface StoredTimer {
  readonly name: string
  readonly due: number
  readonly attempts: number
  readonly error: string | null
  readonly next: number | null
}

function toTimer({ name, due, attempts, error, next }: StoredTimer): ProcessTimer {
  if (error === null) return { name, due: new Date(due) }
  const retryAt = next === null ? null : new Date(next)
  return { name, due: new Date(due), failure: { attempts, error, retryAt } }
}
