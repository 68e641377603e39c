import { z } from 'zod'
import { ValidationError } from '../core/errors.ts'
import { clientSchema } from '../core/fields.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { parse } from '../core/validate.ts'
import { hasState, isServerFailure } from '../database/failures.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import type { NewEvent, RecordedEvent, StreamRef } from '../events/event.ts'
import { modelOf } from '../events/event.ts'
import type { EventOf, NewEventOf } from '../events/types.ts'
import type { Batch, Outcome } from './batch.ts'
import { Aborted } from './batch.ts'
import type { Batcher } from './batcher.ts'
import type { Condition, FailIf, SeenKey } from './condition.ts'
import { checkCondition } from './condition.ts'
import { deriveIds, idempotencyKeySchema } from './idempotency.ts'
import type { ProjectedAppends } from './projected.ts'
import { causeOfProjection } from './projections.ts'
import type { AppendResult, ExpectedVersion, Request } from './request.ts'
import { encodeRequest } from './request.ts'

/** The options of `append`. */
export interface AppendOptions {
  /** The version that the stream must have. Default `'any'`. It must not be `undefined`: leave it out instead. */
  expectedVersion?: ExpectedVersion
  /** Append inside this client's open transaction: the caller commits. A conflict leaves the transaction usable. */
  client?: SqlClient | undefined
  /**
   * Any text that names this call, such as the Idempotency-Key of an HTTP request. The ids of the events are derived from it and
   * the stream, so events must not have ids of their own. A repeat with the same events returns the first result with
   * `deduplicated: true`, whatever `expectedVersion` is; other events are a DuplicateEventError.
   */
  idempotencyKey?: string | undefined
  /**
   * The append fails if there is an event that matches this query and was not seen: `{ query, after }`, both of `meow.query()`.
   * Without `after` there must be no such event at all. It must not be `undefined`: leave it out.
   */
  failIf?: FailIf
}

/** The options of `appendAll`. */
export type AppendAllOptions = Pick<AppendOptions, 'client' | 'failIf'>

/** One stream's part of an `appendAll`. */
export interface StreamWrite<S extends StreamRef = StreamRef> {
  /** The stream to append to. If the same stream occurs twice, the second write continues after the first. */
  stream: S
  /**
   * One or several events. If there are none, nothing is written, no version is checked, and the result tells the stream's last
   * version.
   */
  events: NewEventOf<S> | readonly NewEventOf<S>[]
  /** Default `'any'`. */
  expectedVersion?: ExpectedVersion
}

/** The results of an `appendAll`, each with the events of its stream. */
export type AppendResults<S extends readonly StreamRef[]> = {
  -readonly [I in keyof S]: AppendResult<EventOf<S[I]>>
}

const appendOptionsSchema = z.strictObject({
  expectedVersion: z.unknown().optional(),
  client: clientSchema.optional(),
  idempotencyKey: idempotencyKeySchema,
  failIf: z.unknown().optional(),
})
const appendAllOptionsSchema = z.strictObject({
  client: clientSchema.optional(),
  failIf: z.unknown().optional(),
})

/** Version and position of a stream's last event; -1 and 0 if there is none. */
export type Head = Pick<AppendResult, 'version' | 'position'>

/** Reads the last version and position of a stream, in the caller's transaction if there is a `client`. */
export type FindHead = (stream: StreamRef, client?: SqlClient) => Promise<Head>

/** The entry point of appends: validates the arguments, then uses the batcher or the caller's own transaction. */
export class Appender {
  readonly #batch: Pick<Batch, 'run'>
  readonly #batcher: Pick<Batcher, 'append'>
  readonly #projected: ProjectedAppends | undefined
  readonly #head: FindHead
  readonly #seenKey: SeenKey

  /** Without `projected` there are no inline projections. */
  constructor(
    batch: Pick<Batch, 'run'>,
    batcher: Pick<Batcher, 'append'>,
    head: FindHead,
    seenKey: SeenKey,
    projected?: ProjectedAppends,
  ) {
    this.#batch = batch
    this.#batcher = batcher
    this.#head = head
    this.#seenKey = seenKey
    this.#projected = projected
  }

  async append(
    stream: StreamRef,
    events: NewEvent | readonly NewEvent[],
    options: AppendOptions = {},
  ): Promise<AppendResult> {
    // The hot path: zod runs only if there are other options than the version, which is checked below.
    if (!onlyExpectedVersion(options)) parse(appendOptionsSchema, options, 'options')
    const { client, idempotencyKey } = options
    const request = encodeRequest(stream, events, expectedOf(options), '', 'options.expectedVersion')
    if (idempotencyKey !== undefined) deriveIds(request, events, idempotencyKey)
    if ('failIf' in options) request.condition = await checkCondition(options.failIf, this.#seenKey)
    if (request.events.length === 0) {
      if (!client) this.#projected?.refuseOutside()
      return nothing(await this.#head(request.stream, client))
    }
    return typed(only(await this.#run([request], false, client)), request, stream)
  }

  async appendAll(writes: readonly StreamWrite[], options: AppendAllOptions = {}): Promise<AppendResult[]> {
    const { client } = parse(appendAllOptionsSchema, options, 'options')
    if (!Array.isArray(writes))
      throw new ValidationError('writes', 'must be an array of { stream, events }', writes)
    const requests = writes.map((write: StreamWrite, i) => {
      if (typeof write !== 'object' || write === null)
        throw new ValidationError(`writes[${i}]`, 'must be { stream, events }', write)
      // A misspelt expectedVersion must not pass for 'any'.
      const stranger = Object.keys(write).find(
        (key) => !['stream', 'events', 'expectedVersion'].includes(key),
      )
      if (stranger)
        throw new ValidationError(`writes[${i}].${stranger}`, 'is not an option', (write as any)[stranger])
      return encodeRequest(write.stream, write.events, expectedOf(write), `writes[${i}].`)
    })
    checkIds(requests)
    const full = requests.filter(({ events }) => events.length > 0)
    if ('failIf' in options) {
      const condition = await checkCondition(options.failIf, this.#seenKey)
      if (full[0]) full[0].condition = condition
    }
    if (full.length < requests.length && !client) this.#projected?.refuseOutside() // it would read past that, too
    const outcomes = full.length > 0 ? await this.#run(full, true, client) : []
    const refused = outcomes.find(
      (outcome): outcome is Error => outcome instanceof Error && !(outcome instanceof Aborted),
    )
    if (refused) throw fromHere(refused)
    const of = new Map(full.map((request, i) => [request, outcomes[i] as AppendResult]))
    const results: AppendResult[] = []
    // One after the other, because a caller's client takes one query at a time; and after the appends, because they may be to the
    // same stream.
    for (const [i, request] of requests.entries())
      results.push(
        typed(
          of.get(request) ?? nothing(await this.#head(request.stream, client)),
          request,
          writes[i]!.stream,
        ),
      )
    return results
  }

  /**
   * Appends each request for itself in a transaction of ours: what is refused for one does not undo the others. Rejects if the
   * transaction as a whole has failed.
   */
  async appendEach(requests: readonly Request[], client: SqlClient): Promise<Outcome[]> {
    // A condition does not see what is written in the same call, but must see what was written before it.
    const isApart = requests.some(({ condition }) => condition) || this.#projected?.select(requests)
    if (!isApart) return this.#runInside(client, requests, false)
    const outcomes: Outcome[] = []
    for (const request of requests)
      outcomes.push(
        ...(await this.#run([request], true, client).catch((error) => {
          if (isOfTransaction(error)) throw error
          return [error]
        })),
      )
    return outcomes
  }

  /** Checks the condition of an append that is made later. */
  conditionOf(failIf: FailIf | undefined, path: string): Promise<Condition> {
    return checkCondition(failIf, this.#seenKey, path)
  }

  #run(requests: readonly Request[], atomic: boolean, client?: SqlClient): Promise<Outcome[]> {
    const along = this.#projected?.select(requests)
    if (along) return this.#projected!.append(along, requests, atomic, client)
    return client ? this.#runInside(client, requests, atomic) : this.#batcher.append(requests, atomic)
  }

  async #runInside(client: SqlClient, requests: readonly Request[], atomic: boolean): Promise<Outcome[]> {
    for (let busy = this.#projected?.unfinished(client); busy; busy = this.#projected?.unfinished(client))
      await busy
    return this.#batch.run(requests, { atomic, client })
  }
}

/** Whether the append was not refused, but a lock was not free in time, or the server failed: it may be tried again as it is. */
const isOfTransaction = (error: unknown): boolean =>
  isServerFailure(error) ||
  [error, causeOfProjection(error)].some((one) => hasState(one, SQLSTATE.lockTimeout))

/** If it is left out, it is 'any'. If it is present and undefined, it stays undefined and is refused later. */
const expectedOf = (given: { expectedVersion?: ExpectedVersion }): ExpectedVersion | undefined =>
  'expectedVersion' in given ? given.expectedVersion : 'any'

function checkIds(requests: readonly Request[]): void {
  const seen = new Set<string>()
  requests.forEach(({ events }, i) => {
    events.forEach(({ id }, n) => {
      if (seen.has(id))
        throw new ValidationError(`writes[${i}].events[${n}].id`, 'must not occur twice in one call', id)
      seen.add(id)
    })
  })
}

function onlyExpectedVersion(options: unknown): boolean {
  if (typeof options !== 'object' || options === null) return false
  for (const key in options) if (key !== 'expectedVersion') return false
  return true
}

function only([outcome]: Outcome[]): AppendResult {
  if (outcome instanceof Error) throw fromHere(outcome)
  return outcome!
}

/** Gives an error the stack of its caller. It was created when the batch was answered, and that stack does not name the caller. */
function fromHere(error: Error): Error {
  Error.captureStackTrace(error, fromHere)
  return error
}

/**
 * The result as readers of the stream see it. Its events were checked before they were written, so they are not checked again.
 */
function typed(result: AppendResult, { events }: Request, stream: StreamRef): AppendResult {
  const model = modelOf(stream)
  if (!model) return result
  const seen = (event: RecordedEvent, i: number) =>
    result.deduplicated ? model.toReader(event) : { ...event, ...events[i]!.seen, known: true }
  return { ...result, events: result.events.map(seen) }
}

/** The result of an append without events: the stream has not changed. */
export const nothing = ({ version, position }: Head): AppendResult => ({
  events: [],
  version,
  position,
  deduplicated: false,
})
