// Implements `decide`: loads the state, lets the decider make events, appends them, and retries after a conflict.

import { z } from 'zod'
import type { Appender } from '../append/append.ts'
import { nothing } from '../append/append.ts'
import type { AppendResult } from '../append/request.ts'
import { pauseAfter } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { clientSchema } from '../core/fields.ts'
import { KeyedQueue } from '../core/keyed-queue.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { parse } from '../core/validate.ts'
import { VersionConflictError } from '../events/errors.ts'
import { streamKey } from '../events/event.ts'
import { streamOf } from './aggregate.ts'
import type { Decider } from './decider.ts'
import { checkDecider } from './decider.ts'
import type { Snapshots } from './snapshots.ts'
import type { States } from './states.ts'
import { fold } from './states.ts'

/** Options of `meow.decide`. */
export interface DecideOptions {
  /** How often to load and decide again if another writer got there first. Default 3, minimum 0. */
  retries?: number | undefined
  /** Read and append inside this client's open transaction; the caller commits. Default: none. */
  client?: SqlClient | undefined
}

/** The result of `meow.decide`. */
export interface Decision<S> {
  /** The state after the new events. */
  state: S
  /** The result of the append. If the decider made no events: the version and position that it decided on. */
  result: AppendResult
}

const decideOptionsSchema = z.strictObject({
  retries: z.number().int().min(0).max(10_000).default(3),
  client: clientSchema.optional(),
})

/** Decides on commands. Calls of this process on the same stream run one after the other. */
export class Decisions {
  readonly #states: States
  readonly #snapshots: Pick<Snapshots, 'save'>
  readonly #appender: Pick<Appender, 'append'>
  readonly #clock: Pick<Clock, 'random' | 'sleep'>
  // Only one of several concurrent calls on a stream can win, and the others would lose again. So they take turns.
  readonly #turns = new KeyedQueue<string>()

  constructor(
    states: States,
    snapshots: Pick<Snapshots, 'save'>,
    appender: Pick<Appender, 'append'>,
    clock: Pick<Clock, 'random' | 'sleep'>,
  ) {
    this.#states = states
    this.#snapshots = snapshots
    this.#appender = appender
    this.#clock = clock
  }

  async decide<C, S>(
    decider: Decider<C, any, S>,
    streamId: string,
    command: C,
    options: DecideOptions = {},
  ): Promise<Decision<S>> {
    checkDecider(decider)
    const { retries, client } = parse(decideOptionsSchema, options, 'options')
    const decide = () =>
      this.#retryConflicts(() => this.#attempt(decider, streamId, command, client), retries)
    // A caller with its own transaction must not wait here: another call may be waiting for that transaction.
    if (client || retries === 0) return decide()
    return this.#turns.run([streamKey(streamOf(decider.category, streamId))], decide)
  }

  async #retryConflicts<T>(decide: () => Promise<T>, retries: number): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await decide()
      } catch (error) {
        if (!(error instanceof VersionConflictError) || attempt > retries) throw error
        if (attempt > 1)
          await this.#clock.sleep(this.#clock.random() * pauseAfter(attempt, { firstMs: 10, maxMs: 100 }))
      }
    }
  }

  async #attempt<C, S>(
    decider: Decider<C, any, S>,
    streamId: string,
    command: C,
    client?: SqlClient,
  ): Promise<Decision<S>> {
    const stream = streamOf(decider.category, streamId)
    const before = await this.#states.read(decider, streamId, { client })
    const events = decider.decide(command, before.state)
    if (Array.isArray(events) && events.length === 0) return { state: before.state, result: nothing(before) }
    const result = await this.#appender.append(stream, events, {
      expectedVersion: before.version,
      ...(client ? { client } : {}),
    })
    // The decider chose the ids, and these events were appended before. The loaded state may already contain them.
    if (result.deduplicated)
      return { state: (await this.#states.read(decider, streamId, { client })).state, result }
    const { state } = fold(decider, before, result.events)
    const snapshots = checkDecider(decider)
    const last = result.events.at(-1)
    if (snapshots && last && before.folded + result.events.length >= snapshots.every)
      await this.#snapshots.save(state, last, snapshots, client)
    return { state, result }
  }
}
