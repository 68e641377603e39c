// Implements `decide`: loads the state, lets the decider make events, appends them, and retries after a conflict.

import { z } from 'zod'
import type { Appender } from '../append/append.ts'
import { nothing } from '../append/append.ts'
import { derivedId, idempotencyKeySchema } from '../append/idempotency.ts'
import type { AppendResult, ExpectedVersion } from '../append/request.ts'
import { checkExpected, meets } from '../append/request.ts'
import { pauseAfter } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { clientSchema } from '../core/fields.ts'
import { KeyedQueue } from '../core/keyed-queue.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { parse } from '../core/validate.ts'
import { DuplicateEventError, VersionConflictError } from '../events/errors.ts'
import type { RecordedEvent } from '../events/event.ts'
import { modelOf, streamKey } from '../events/event.ts'
import type { ByIds } from '../read/by-ids.ts'
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
  /**
   * The version that the stream must have when it is loaded, for instance that of an If-Match header. Default: any. If it has
   * another one, nothing is decided. It must not be `undefined`: leave it out.
   */
  expectedVersion?: ExpectedVersion
  /**
   * Any text that names this command, such as the Idempotency-Key of an HTTP request. If a call with this key has appended to this
   * stream, that result is returned with `deduplicated: true`, and nothing is decided again, whatever the command and
   * `expectedVersion` are. Events must not have ids of their own. A command for which there was nothing to append is not remembered.
   */
  idempotencyKey?: string | undefined
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
  expectedVersion: z.unknown().optional(),
  idempotencyKey: idempotencyKeySchema,
})

/** How many ids are looked up at once. */
const PAGE_SIZE = 64

/** What a decision is bound to. */
interface Terms {
  readonly client: SqlClient | undefined
  readonly expected: ExpectedVersion
  readonly key: string | undefined
}

/** Decides on commands. Calls of this process on the same stream run one after the other. */
export class Decisions {
  readonly #states: States
  readonly #snapshots: Pick<Snapshots, 'save'>
  readonly #appender: Pick<Appender, 'append'>
  readonly #byIds: ByIds
  readonly #clock: Pick<Clock, 'random' | 'sleep'>
  // Only one of several concurrent calls on a stream can win, and the others would lose again. So they take turns.
  readonly #turns = new KeyedQueue<string>()

  constructor(
    states: States,
    snapshots: Pick<Snapshots, 'save'>,
    appender: Pick<Appender, 'append'>,
    byIds: ByIds,
    clock: Pick<Clock, 'random' | 'sleep'>,
  ) {
    this.#states = states
    this.#snapshots = snapshots
    this.#appender = appender
    this.#byIds = byIds
    this.#clock = clock
  }

  async decide<C, S>(
    decider: Decider<C, any, S>,
    streamId: string,
    command: C,
    options: DecideOptions = {},
  ): Promise<Decision<S>> {
    checkDecider(decider)
    const { retries, client, idempotencyKey: key } = parse(decideOptionsSchema, options, 'options')
    const expected =
      'expectedVersion' in options ? checkExpected(options.expectedVersion, 'options.expectedVersion') : 'any'
    const terms: Terms = { client, expected, key }
    const attempt = () => this.#attempt(decider, streamId, command, terms)
    const once = () => this.#unlessRecorded(decider, streamId, terms, attempt)
    const decide = () => this.#retryConflicts(once, retries, expected)
    // A caller with its own transaction must not wait here: another call may be waiting for that transaction.
    if (client || retries === 0) return decide()
    return this.#turns.run([streamKey(streamOf(decider.category, streamId))], decide)
  }

  /** What an earlier call with this key has appended, if there was one; or what `decide` returns. */
  async #unlessRecorded<S>(
    decider: Decider<any, any, S>,
    streamId: string,
    { client, key }: Terms,
    decide: () => Promise<Decision<S>>,
  ): Promise<Decision<S>> {
    if (key === undefined) return decide()
    const recorded = () => this.#recorded(decider, streamId, key, client)
    const before = await recorded()
    if (before) return before
    try {
      return await decide()
    } catch (error) {
      // Another call with this key may have been first, with another decision.
      const isRace = error instanceof VersionConflictError || error instanceof DuplicateEventError
      const meanwhile = isRace ? await recorded() : undefined
      if (meanwhile) return meanwhile
      throw error
    }
  }

  async #recorded<S>(
    decider: Decider<any, any, S>,
    streamId: string,
    key: string,
    client?: SqlClient,
  ): Promise<Decision<S> | undefined> {
    const stream = streamOf(decider.category, streamId)
    const found: RecordedEvent[] = []
    for (let index = 0; index === found.length; index += PAGE_SIZE) {
      const ids = Array.from({ length: PAGE_SIZE }, (_, i) => derivedId(stream, key, index + i))
      found.push(...(await this.#byIds(ids, client)))
    }
    if (found.length === 0) return undefined
    found.sort((a, b) => a.version - b.version)
    const { version, position } = found.at(-1)!
    const model = modelOf(stream)
    const events = model ? found.map((event) => model.toReader(event)) : found
    const { state } = await this.#states.read(decider, streamId, { client, toVersion: version + 1 })
    return { state, result: { events, version, position, deduplicated: true } }
  }

  /** It does not try again if the stream is not as the caller expects. */
  async #retryConflicts<T>(decide: () => Promise<T>, retries: number, expected: ExpectedVersion): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await decide()
      } catch (error) {
        if (!(error instanceof VersionConflictError) || attempt > retries || error.expected === expected)
          throw error
        if (attempt > 1)
          await this.#clock.sleep(this.#clock.random() * pauseAfter(attempt, { firstMs: 10, maxMs: 100 }))
      }
    }
  }

  async #attempt<C, S>(
    decider: Decider<C, any, S>,
    streamId: string,
    command: C,
    { client, expected, key }: Terms,
  ): Promise<Decision<S>> {
    const stream = streamOf(decider.category, streamId)
    const before = await this.#states.read(decider, streamId, { client })
    if (!meets(expected, before.version)) throw new VersionConflictError(stream, expected, before.version)
    const events = decider.decide(command, before.state)
    if (Array.isArray(events) && events.length === 0) return { state: before.state, result: nothing(before) }
    const result = await this.#appender.append(stream, events, {
      expectedVersion: before.version,
      ...(client ? { client } : {}),
      ...(key === undefined ? {} : { idempotencyKey: key }),
    })
    // The decider chose ids of events that were appended before. The loaded state may already contain them.
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
