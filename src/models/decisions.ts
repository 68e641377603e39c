import type pg from 'pg'
import { z } from 'zod'
import type { Appender } from '../append/append.ts'
import { nothing } from '../append/append.ts'
import type { AppendResult } from '../append/request.ts'
import type { Clock } from '../core/clock.ts'
import { client } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import { VersionConflictError } from '../events/errors.ts'
import { streamKey } from '../events/event.ts'
import { streamOf } from './aggregate.ts'
import type { Decider } from './decider.ts'
import { checkDecider } from './decider.ts'
import type { Snapshots } from './snapshots.ts'
import type { States } from './states.ts'
import { fold } from './states.ts'

/** How to decide. */
export interface DecideOptions {
  /** How often to load the stream again and decide anew where somebody else was faster. Default 3, minimum 0. */
  retries?: number | undefined
  /** Read and append inside this client's open transaction: the caller commits. */
  client?: pg.ClientBase | undefined
}

/** What came of a command. */
export interface Decision<S> {
  /** The state after its events. */
  state: S
  /** As of `append`; if the decider made no events, with the version and position that it decided upon. */
  result: AppendResult
}

const decideOptions = z.strictObject({
  retries: z.number().int().min(0).max(10_000).default(3),
  client: client.optional(),
})

/** Decides on commands: load, decide, append; again where somebody was faster. */
export class Decisions {
  readonly #states: States
  readonly #snapshots: Pick<Snapshots, 'save'>
  readonly #appender: Pick<Appender, 'append'>
  readonly #clock: Pick<Clock, 'random' | 'sleep'>
  readonly #turns = new Map<string, Promise<unknown>>() // the last one on each stream

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
    const { retries, client } = parse(decideOptions, options, 'options')
    const decide = () => this.#untilFirst(() => this.#once(decider, streamId, command, client), retries)
    // Whoever waits in a transaction of his own may be the one that others wait for.
    if (client || retries === 0) return decide()
    return this.#inTurn(streamKey(streamOf(decider.category, streamId)), decide)
  }

  async #untilFirst<T>(once: () => Promise<T>, retries: number): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once()
      } catch (error) {
        if (!(error instanceof VersionConflictError) || attempt > retries) throw error
        if (attempt > 1) await this.#clock.sleep(this.#clock.random() * Math.min(10 * attempt, 100))
      }
    }
  }

  /** Those of this process on one stream go one after the other: only one of them could win, and most would lose again. */
  async #inTurn<T>(stream: string, action: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(stream) ?? Promise.resolve()
    const turn = before.then(action)
    const ended = turn.then(
      () => {},
      () => {},
    )
    this.#turns.set(stream, ended)
    try {
      return await turn
    } finally {
      if (this.#turns.get(stream) === ended) this.#turns.delete(stream)
    }
  }

  async #once<C, S>(
    decider: Decider<C, any, S>,
    streamId: string,
    command: C,
    client?: pg.ClientBase,
  ): Promise<Decision<S>> {
    const stream = streamOf(decider.category, streamId)
    const before = await this.#states.read(decider, streamId, { client })
    const events = decider.decide(command, before.state)
    if (Array.isArray(events) && events.length === 0) return { state: before.state, result: nothing(before) }
    const result = await this.#appender.append(stream, events, {
      expectedVersion: before.version,
      ...(client ? { client } : {}),
    })
    // Ids of the decider's own, appended before: they may be part of what was loaded.
    if (result.deduplicated)
      return { state: (await this.#states.read(decider, streamId, { client })).state, result }
    const { state } = fold(decider, before, result.events)
    const snapshooting = checkDecider(decider)
    const last = result.events.at(-1)
    if (snapshooting && last && before.folded + result.events.length >= snapshooting.every)
      await this.#snapshots.save(state, last, snapshooting, client)
    return { state, result }
  }
}
