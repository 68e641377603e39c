// The instances that one transaction has locked, and how its inputs change them.
import type pg from 'pg'
import type { Appender } from '../append/append.ts'
import { MeowError, ValidationError } from '../core/errors.ts'
import type { Database } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import { inheritedCause } from './cause.ts'
import type { Checked } from './define.ts'
import type { EffectWrite, Input, Reaction } from './reaction.ts'
import { react, stateOf } from './reaction.ts'

/** An input failed, and not the database. */
export class InputFailed extends MeowError {
  constructor(cause: unknown) {
    super('ERR_HANDLER', 'an input of a process manager failed')
    this.cause = cause // unchanged, because it is passed on and not printed
  }
}

/** An instance that is locked. */
interface Instance {
  readonly id: string
  state: string
  version: number
  ended: boolean
  /** When it was locked, in ms since 1970 by the database's clock. */
  readonly now: number
  changed: boolean
  /** Of each timer that changes: when it is due and what it belongs to; null: it is gone. */
  readonly timers: Map<string, { due: number; cause: object } | null>
}

/** A row of a locked instance. */
export type Locked = Pick<Instance, 'id' | 'state' | 'version' | 'ended' | 'now'>

/** Applies inputs to instances in memory, and then saves all of them at once. */
export class Instances {
  readonly #manager: Checked
  readonly #all = new Map<string, Instance>()
  readonly #writes: EffectWrite[] = []

  constructor(manager: Checked, locked: Iterable<Locked>) {
    this.#manager = manager
    for (const row of locked)
      if (!this.#all.has(row.id)) this.#all.set(row.id, { ...row, changed: false, timers: new Map() })
  }

  /** One input of an instance. One that has ended ignores it. */
  apply(id: string, input: Input): void {
    const instance = this.#all.get(id)
    if (!instance)
      throw new Error(
        `instance "${id}" of process manager "${this.#manager.name}" was deleted just now; the input is tried again by itself`,
      )
    if (instance.ended) return
    const reaction = this.#react(instance, input)
    instance.state = reaction.state
    instance.version = this.#manager.version
    instance.ended = reaction.ended
    instance.changed = true
    this.#writes.push(...reaction.writes)
    for (const [name, due] of reaction.timers)
      instance.timers.set(name, due === null ? null : { due, cause: inheritedCause(input.cause) })
  }

  /** The code of a user runs here: its errors must not be taken for those of a connection. */
  #react(instance: Instance, input: Input): Reaction {
    try {
      const state = stateOf(this.#manager, instance.state, instance.version)
      return react(this.#manager, state, input, instance)
    } catch (error) {
      throw new InputFailed(error)
    }
  }

  /** A timer is fired: an input of its instance, unless an earlier input of this transaction has changed the timer. */
  fire(id: string, name: string, input: Input): void {
    const instance = this.#all.get(id)
    if (!instance || instance.timers.has(name)) return
    instance.timers.set(name, null)
    instance.changed = true
    this.apply(id, input)
  }

  async #append(appender: Appender, client: pg.ClientBase): Promise<void> {
    if (this.#writes.length === 0) return
    for (const { request, failIf } of this.#writes)
      if (failIf)
        request.condition = await appender.conditionOf(failIf.given, failIf.path).catch((error) => {
          throw error instanceof ValidationError ? new InputFailed(error) : error
        })
    const requests = this.#writes.map(({ request }) => request)
    // The first refusal undoes all of it. With conditions each is a round trip, and the locks of their tags are kept so long.
    const isApart = requests.some(({ condition }) => condition)
    for (const together of isApart ? requests.map((request) => [request]) : [requests])
      for (const outcome of await appender.appendEach(together, client))
        if (outcome instanceof Error) throw new InputFailed(outcome)
  }

  /** Writes all changes in the transaction of the client. Rejects if an append is refused. */
  async save(db: Database, appender: Appender, client: pg.ClientBase): Promise<void> {
    await this.#append(appender, client)
    const changed = [...this.#all.values()].filter((instance) => instance.changed)
    if (changed.length === 0) return
    const instances = changed.map(
      ({ id, state, ended }) => `{"id":${JSON.stringify(id)},"state":${state},"ended":${ended}}`,
    )
    const timers = changed
      .filter(({ ended }) => !ended)
      .flatMap(({ id, timers }) => [...timers].map(([name, timer]) => ({ id, name, timer })))
    const { name, version, keepEndedMs } = this.#manager
    await db.query(
      statements.saveInstances,
      {
        process: name,
        version,
        keepMs: keepEndedMs,
        instances: `[${instances.join(',')}]`,
        cancelled: JSON.stringify(timers.flatMap(({ id, name, timer }) => (timer ? [] : [{ id, name }]))),
        scheduled: JSON.stringify(
          timers.flatMap(({ id, name, timer }) => (timer ? [{ id, name, ...timer }] : [])),
        ),
      },
      client,
    )
  }
}
