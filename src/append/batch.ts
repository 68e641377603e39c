import { MeowError, ValidationError } from '../core/errors.ts'
import { Pieces } from '../core/pieces.ts'
import type { SqlClient } from '../core/sql-client.ts'
import type { Database } from '../database/database.ts'
import { codeOf } from '../database/failures.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import type { RowOf } from '../database/statement.ts'
import { statements } from '../database/statements.ts'
import type { UnseenEvent } from '../events/errors.ts'
import { ConditionFailedError, DuplicateEventError, VersionConflictError } from '../events/errors.ts'
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import { toEvent } from '../events/event.ts'
import { withTags } from '../events/tags.ts'
import type { AppendResult, ExpectedVersion, Request } from './request.ts'

/** The result of one request of a batch. */
export type Outcome = AppendResult | Error

export interface BatchOptions {
  /** All requests or none. */
  atomic?: boolean
  /** Look up all ids, including those that we made: an earlier attempt may have written them. */
  lookup?: boolean
  /** The caller's transaction, which must stay usable after a lost race. */
  client?: SqlClient
  /** Wait for tags that others have locked. Default true; otherwise the requests are `Busy`. */
  wait?: boolean
  /** Is updated as the batch proceeds. */
  progress?: Progress
}

/** How far a batch has come, for the case that its connection is lost. */
export interface Progress {
  /** The batch was sent, so a lost connection leaves its outcome open. */
  sent: boolean
  /** It has a connection, in a transaction that is not to be committed yet: nothing is written. */
  begun?: boolean
}

/** One call of meowmx.append_batch or append_one: sql/functions/ says what goes in and comes out. */
export class Batch {
  readonly #db: Database
  readonly #saw: (position: number) => void

  /** `saw` receives each position that was assigned. */
  constructor(db: Database, saw: (position: number) => void) {
    this.#db = db
    this.#saw = saw
  }

  /** The outcome of each request, in order. Rejects if the batch failed as a whole; then nothing is written. */
  async run(
    requests: readonly Request[],
    { atomic = false, lookup = false, wait = true, client, progress }: BatchOptions = {},
  ): Promise<Outcome[]> {
    const [first] = requests
    const isTagged = requests.some(({ tags, condition }) => tags.length > 0 || condition)
    if (isTagged && requests.length === 1 && first!.events.length === 1)
      return [await this.#runOneTagged(first!, { atomic, lookup, wait, client, progress })]
    if (isTagged) return this.#runTagged(requests, { atomic, lookup, wait, client, progress })
    if (first && requests.length === 1 && first.events.length === 1)
      return [await this.#runOne(first, lookup, client, progress)]
    const [row] = await this.#db.query(
      client ? statements.appendGuarded : statements.appendBatch,
      argumentsOf(requests, atomic, lookup),
      client,
      progress,
    )
    return this.#outcomes(requests, row!, client)
  }

  /** With tags or conditions: see sql/functions/append_tagged.sql. */
  async #runTagged(
    requests: readonly Request[],
    { atomic, lookup, wait, client, progress }: Tagged,
  ): Promise<Outcome[]> {
    const conditions = requests.flatMap(({ condition }, i) =>
      condition
        ? [
            {
              r: i + 1,
              query: condition.items,
              horizon: condition.after.horizon,
              seen: condition.after.positions,
            },
          ]
        : [],
    )
    const values = {
      ...argumentsOf(requests, atomic, lookup),
      careful: client !== undefined,
      wait,
      exclusive: [...new Set(requests.flatMap(({ condition }) => condition?.locked ?? []))],
      shared: [...new Set(requests.flatMap(({ tags }) => tags))],
      conditions: conditions.length > 0 ? JSON.stringify(conditions) : null,
    }
    const asked = this.#db.query(statements.appendTagged, values, client, progress)
    const [row] = await asked.catch((error) => {
      throw ofTransaction(error, client)
    })
    const [outcomes, version, duplicate, positions, recordedAt, failed] = row!
    if (parseArray(outcomes)[0] === 'busy') return requests.map(() => new Busy())
    const answer = [outcomes, version!, duplicate!, positions, recordedAt!] as const
    return this.#outcomes(requests, answer, client, failed === null ? {} : JSON.parse(failed))
  }

  /** One event with tags, or under a condition: see sql/functions/append_one_tagged.sql. */
  async #runOneTagged(request: Request, { lookup, wait, client, progress }: Tagged): Promise<Outcome> {
    const { condition } = request
    const { tags } = request.events[0]!
    const one = argumentsOfOne(request, lookup, client)
    const values = {
      ...one,
      metadata: withTags(one.metadata, tags),
      exclusive: condition?.locked ?? [],
      shared: tags,
      query: condition ? JSON.stringify(condition.items) : null,
      horizon: condition?.after.horizon ?? 0,
      seen: condition?.after.positions ?? [],
      wait,
    }
    const asked = this.#db.query(statements.appendOneTagged, values, client, progress)
    const [row] = await asked.catch((error) => {
      throw ofTransaction(error, client)
    })
    const [outcome, version, position, recordedAt, failed] = row!
    if (outcome === 'busy') return new Busy()
    if (outcome === 'failed')
      return new ConditionFailedError(condition!.given.query, JSON.parse(failed!) as UnseenEvent)
    return this.#outcomeOfOne(request, [outcome, version, position, recordedAt], client)
  }

  async #runOne(
    request: Request,
    lookup: boolean,
    client?: SqlClient,
    progress?: Progress,
  ): Promise<Outcome> {
    const values = argumentsOfOne(request, lookup, client)
    const [row] = await this.#db.query(statements.appendOne, values, client, progress)
    return this.#outcomeOfOne(request, row![0].slice(1, -1).split(','), client)
  }

  async #outcomeOfOne(
    request: Request,
    [outcome, version, position, recordedAt]: readonly (string | null | undefined)[],
    client?: SqlClient,
  ): Promise<Outcome> {
    const { stream, expected, events } = request
    const { id } = events[0]!
    switch (outcome) {
      case 'appended':
        this.#saw(Number(position))
        return appended(request, Number(version), [position!], Number(recordedAt))
      case 'deduplicated':
        return result([(await this.#recorded([request], client)).get(id)!], true)
      case 'duplicate':
        return new DuplicateEventError(id, stream)
      default:
        return new VersionConflictError(stream, expected, Number(version))
    }
  }

  async #outcomes(
    requests: readonly Request[],
    row: Pick<RowOf<typeof statements.appendBatch.columns>, 0 | 1 | 2 | 3 | 4>,
    client?: SqlClient,
    failed: Readonly<Record<string, UnseenEvent>> = {},
  ): Promise<Outcome[]> {
    const [outcomes, versions, duplicates] = [parseArray(row[0]), parseArray(row[1]), parseArray(row[2])]
    const positions = row[3] === null ? [] : parseArray(row[3])
    const recordedAt = Number(row[4])
    if (positions.length > 0) this.#saw(Number(positions.at(-1)))
    const known = await this.#recorded(
      requests.filter((_, i) => outcomes[i] === 'deduplicated'),
      client,
    )
    let next = 0
    return requests.map((request, i) => {
      const { stream, expected, events } = request
      switch (outcomes[i]) {
        case 'appended': {
          const from = next
          next += events.length
          return appended(request, Number(versions[i]), positions.slice(from, next), recordedAt)
        }
        case 'deduplicated':
          return result(
            events.map(({ id }) => known.get(id)!),
            true,
          )
        case 'duplicate':
          return new DuplicateEventError(duplicates[i]!, stream)
        case 'failed':
          return new ConditionFailedError(request.condition!.given.query, failed[i + 1]!)
        case 'conflict':
          return new VersionConflictError(stream, expected, Number(versions[i]))
        default:
          return new Aborted()
      }
    })
  }

  async #recorded(requests: readonly Request[], client?: SqlClient): Promise<Map<string, RecordedEvent>> {
    const ids = requests.flatMap(({ events }) => events.map(({ id }) => id))
    if (ids.length === 0) return new Map()
    const rows = await this.#db.query(statements.eventsById, { ids }, client)
    return new Map(rows.map((row) => [row[2], toEvent(row)]))
  }
}

interface Tagged {
  readonly atomic: boolean
  readonly lookup: boolean
  readonly wait: boolean
  readonly client: SqlClient | undefined
  readonly progress: Progress | undefined
}

/** The outcome of all requests if another transaction has locked one of their tags. Nothing was done. */
export class Busy extends Error {}

/** The outcome of a valid request in an atomic batch in which another request failed. */
export class Aborted extends Error {}

function appended(
  { stream, events }: Request,
  version: number,
  positions: string[],
  recordedAt: number,
): AppendResult {
  return result(
    events.map(({ id, type, data, metadata, tags }, i) => ({
      id,
      category: stream.category,
      streamId: stream.streamId,
      version: version + i,
      position: Number(positions[i]),
      type,
      data: JSON.parse(data),
      metadata: JSON.parse(metadata),
      tags,
      recordedAt: new Date(recordedAt),
    })),
    false,
  )
}

export function result(events: RecordedEvent[], deduplicated: boolean): AppendResult {
  const last = events.reduce((a, b) => (b.version > a.version ? b : a))
  return { events, version: last.version, position: last.position, deduplicated }
}

/** What append_one is called with. */
function argumentsOfOne(request: Request, lookup: boolean, client?: SqlClient) {
  const { stream, expected, events } = request
  const { id, type, data, metadata } = events[0]!
  return {
    category: stream.category,
    streamId: stream.streamId,
    expected: expectedNumber(expected),
    lookup: lookup || request.lookup,
    careful: client !== undefined,
    id,
    type,
    data,
    metadata,
  }
}

/** What append_batch is called with. */
function argumentsOf(requests: readonly Request[], atomic: boolean, lookup: boolean) {
  const streams: StreamRef[] = []
  const known = new Map<string, number>()
  const numbers = requests.map(({ key, stream }) => {
    const number = known.get(key) ?? streams.push(stream)
    known.set(key, number)
    return number
  })
  return {
    category: streams.map(({ category }) => category),
    streamId: streams.map(({ streamId }) => streamId),
    stream: numbers,
    size: requests.map(({ events }) => events.length),
    expected: requests.map(({ expected }) => expectedNumber(expected)),
    atomic,
    lookup: lookup || requests.some((request) => request.lookup),
    events: encodeEvents(requests),
  }
}

/** An error of an append with tags that only a caller's own transaction can have, as one that says what to do. */
function ofTransaction(error: unknown, client: SqlClient | undefined): unknown {
  const state = codeOf(error)
  if (state === SQLSTATE.conditionNeedsReadCommitted)
    return new ValidationError(
      'options.client',
      'must be in a transaction of isolation level READ COMMITTED for an append with failIf: an earlier snapshot would not see what others have committed',
      (error as Error).message,
    )
  if (state === SQLSTATE.foreignSeen)
    return new ValidationError(
      'options.failIf.after',
      'lies above the last position of this store, which has lost events since (a failover or a restore): query again, and decide on what is there now',
      (error as Error).message,
    )
  if (client && state === SQLSTATE.deadlock)
    return new MeowError(
      'ERR_TAG_DEADLOCK',
      'this transaction and another one waited for each other to lock tags, and PostgreSQL has aborted this one: roll it back and run it again; one append with all writes (appendAll) locks its tags in one order and never waits like this',
      error,
    )
  return error
}

/** Builds the JSON by hand: data and metadata are JSON already, and one text is cheaper to send than five arrays. */
function encodeEvents(requests: readonly Request[]): Pieces | string {
  const json = new Pieces()
  requests.forEach(({ events }, r) => {
    events.forEach(({ id, type, data, metadata: own, tags }, n) => {
      const metadata = withTags(own, tags)
      const separator = r + n === 0 ? '[' : ','
      json.add(`${separator}{"r":${r + 1},"n":${n},"i":"${id}","t":${JSON.stringify(type)},"d":`)
      json.add(data)
      json.add(metadata === '{}' ? '}' : `,"m":${metadata}}`)
    })
  })
  json.add(']')
  return json.value
}

function expectedNumber(expected: ExpectedVersion): number {
  if (expected === 'any') return -2
  if (expected === 'stream-exists') return -3
  return expected === 'no-stream' ? -1 : expected
}

/** Parses a PostgreSQL array whose items need no quotes: numbers, UUIDs, our own words. */
function parseArray(text: string): string[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',')
}
