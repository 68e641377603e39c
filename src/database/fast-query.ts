import type { Duplex } from 'node:stream'
import pg from 'pg'
import { now, sleep } from '../core/clock.ts'
import type { Deadline } from '../core/deadlines.ts'
import { Deadlines } from '../core/deadlines.ts'
import { attempt } from '../core/describe.ts'
import { isError } from '../core/kinds.ts'
import { Pieces } from '../core/pieces.ts'
import type { Row } from './bounded-rows.ts'
import { BoundedRows } from './bounded-rows.ts'
import { cancel } from './cancel.ts'
import { QUERY_TIMEOUT, StatementLost } from './failures.ts'
import { sessionError, watchErrors } from './session.ts'

/** Marks a query whose time limit is kept here and not by pg. */
export const OWN_TIMEOUT = Symbol('meowmx.timed')

export interface QuerySpec {
  /** The name under which a connection prepares the statement. */
  readonly name?: string | undefined
  /** One statement. */
  readonly text: string
  readonly values?: readonly unknown[]
  /**
   * Whether it commits an append. If so, the server is not asked to cancel it when it is late: it may only be waiting for a
   * standby, and a cancelled wait would show events that no standby has.
   */
  readonly commits?: boolean | undefined
}

type Callback = (error: Error | null, result?: { rows: Row[] } | BoundedRows) => void

/** The parts of pg's connection that we use. */
interface Wire {
  readonly stream: Duplex
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
  parse(statement: { name: string; text: string }): void
  bind(portal: { statement: string; values: readonly unknown[] }): void
}

/** The protocol messages Execute (all rows of the bound portal) and Sync (the end of this query). */
const EXECUTE_AND_SYNC = Buffer.from('E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04', 'latin1')
const deadlines = new Deadlines()

/**
 * Runs one query and rejects if it takes longer than `timeoutMs`. `answer` limits the bytes of rows that are kept.
 *
 * On our own connections it runs as a query of ours instead of pg's. A query of pg asks for a description of the columns each
 * time, creates an event emitter and a result, and parses each value; nothing of this is needed here. In addition, with pg's
 * own promise or its `query_timeout`, everything that a process reads survives V8's scavenges until the next full collection
 * (pg 8.23, Node 20: half of what is allocated survives, instead of at most 6 %). The same happens if a query gets its callback
 * after it was created. So the callback is passed at once, and the time limit is kept here.
 */
export function runQuery(
  client: pg.ClientBase,
  question: QuerySpec,
  timeoutMs: number,
  answer = new BoundedRows(),
): Promise<Row[]> {
  const asked = mayBeNamed(client) ? question : { ...question, name: undefined }
  if (!isPipelined(client)) return runPlainQuery(client, asked, timeoutMs, answer)
  return new Promise((resolve, reject) => {
    const deadline: Deadline = {
      due: now() + timeoutMs,
      onMissed: async () => {
        await cancelAndStopReading(client, timeoutMs)
        reject(new Error(QUERY_TIMEOUT))
        client.connection.stream.destroy() // as pg does: the queries after this one would wait as long
      },
    }
    const callback: Callback = (error, result) => {
      if (error)
        return void sessionError(client, error).then((failure) => {
          deadlines.delete(deadline)
          reject(noteLostStatement(failure as Error, client, asked))
        })
      deadlines.delete(deadline)
      if (result !== answer) answer.addAll(result!.rows) // pg ran it as its own query
      resolve(answer.rows)
    }
    deadlines.add(deadline)
    try {
      client.query(new FastQuery(asked, answer, callback) as unknown as pg.Submittable)
    } catch (error) {
      deadlines.delete(deadline) // a lent client that was revoked
      reject(error)
    }
  })
}

/** Runs a query by pg. If a caller's own queries are ahead of it in the connection's queue, only pg can remove a late query. */
async function runPlainQuery(
  client: pg.ClientBase,
  asked: QuerySpec,
  timeoutMs: number,
  answer: BoundedRows,
): Promise<Row[]> {
  watchErrors(client)
  const { commits, ...rest } = asked
  const query = { ...rest, rowMode: 'array', types: answer.types, query_timeout: timeoutMs }
  const waits = sentQueries(client).length > 0
  const answering = client.query<string[]>(query as unknown as pg.QueryArrayConfig)
  const own = waits ? undefined : sentQueries(client)[0]
  try {
    answer.addAll((await answering).rows)
    return answer.rows
  } catch (error) {
    const isLate = (error as Error).message === QUERY_TIMEOUT
    // Reject after the query is cancelled, so that the cancellation can't hit the next query on this connection.
    if (isLate && own && !commits && sentQueries(client)[0] === own)
      await cancel(client, cancelTimeoutMs(timeoutMs))
    throw noteLostStatement((await sessionError(client, error)) as Error, client, asked)
  }
}

/** How long to wait until the server receives the cancel request: the server itself may be unreachable. In ms. */
export const cancelTimeoutMs = (timeoutMs: number) => Math.min(1_000, timeoutMs)
/** The pause between two cancel requests, so that the second one reaches the next query. In ms. */
const NEXT_MS = 20

const givenUp = new WeakMap<pg.ClientBase, Promise<void>>()

/** Before a connection is destroyed: reads no more answers, and cancels our queries on it. */
function cancelAndStopReading(client: Pipelined, timeoutMs: number): Promise<void> {
  const known = givenUp.get(client)
  if (known) return known
  client.connection.stream.pause()
  const ending = cancelSentQueries(client, timeoutMs)
  givenUp.set(client, ending)
  return ending
}

/** Cancels the running query and the queries after it on this connection, up to the first one that is not ours or commits. */
async function cancelSentQueries(client: pg.ClientBase, timeoutMs: number): Promise<void> {
  const sent = sentQueries(client)
  const others = sent.findIndex((query) => !(query instanceof FastQuery) || query.commits)
  for (let left = others < 0 ? sent.length : others; left > 0; left--) {
    if (!(await cancel(client, cancelTimeoutMs(timeoutMs)))) return
    if (left > 1) await sleep(NEXT_MS)
  }
}

/** The queries that were sent and not answered. The server works on the first one. [] if pg's internal names have changed. */
function sentQueries(client: pg.ClientBase): unknown[] {
  const { _activeQuery, _sentQueryQueue = [] } = client as {
    _activeQuery?: unknown
    _sentQueryQueue?: unknown[]
  }
  return _activeQuery ? [_activeQuery, ..._sentQueryQueue] : []
}

/**
 * Runs queries in one round trip if the connection pipelines; otherwise one after the other, because pg 9.0 removes its own
 * queue.
 */
export async function runTogether<const T extends readonly (() => Promise<unknown>)[]>(
  client: pg.ClientBase,
  questions: T,
): Promise<{ -readonly [K in keyof T]: Awaited<ReturnType<T[K]>> }> {
  const answers: unknown[] = []
  if (isPipelined(client)) {
    // Wait for all answers before an error returns the connection to the pool.
    for (const answer of await Promise.allSettled(questions.map((question) => question()))) {
      if (answer.status === 'rejected') throw answer.reason
      answers.push(answer.value)
    }
  } else {
    for (const question of questions) answers.push(await question())
  }
  return answers as never
}

/** Connections that have lost a prepared statement. */
const lostStatements = new WeakSet<object>()

/** A lost statement aborts the transaction. So inside transactions, a connection that has lost one gets no named statements. */
function mayBeNamed(client: pg.ClientBase): boolean {
  return !lostStatements.has(connectionOf(client)) || transactionOf(client) === 'I'
}

/**
 * Notes that a prepared statement is lost, or exists although it should not, so that the query can be repeated. This happens
 * after DEALLOCATE or DISCARD ALL, or if a pooler assigned another session.
 */
function noteLostStatement(error: Error, client: pg.ClientBase, { name, text }: QuerySpec): Error {
  const { code, message } = error as { code?: string; message: string }
  // A statement that a trigger executes by a name of its own is not ours.
  if (!name || !(code === '26000' || code === '42P05') || !message.includes(name)) return error
  const { connection, namedQueries } = client as unknown as {
    connection?: Wire
    namedQueries?: Wire['parsedStatements']
  }
  const prepared = connection?.parsedStatements ?? namedQueries ?? {} // pg's native client has namedQueries
  if (code === '42P05') prepared[name] = text
  else delete prepared[name]
  lostStatements.add(connectionOf(client))
  const status = transactionOf(client)
  return new StatementLost(error, code, name, connectionOf(client), status === 'T' || status === 'E')
}

/** The name of the statement that this connection has lost, if that caused the error. Then the query did not run. */
export function lostStatement(client: pg.ClientBase, error: unknown): string | undefined {
  for (let cause = error, depth = 0; isError(cause) && depth < 10; cause = causeOf(cause), depth++)
    if (cause instanceof StatementLost && cause.connection() === connectionOf(client)) return cause.statement
  return undefined
}

/** The error may come from a handler, so its getter may throw. */
const causeOf = (error: Error): unknown => attempt(() => error.cause)

/** The connection of a client, or of a lent client that inherits from it. */
const connectionOf = (client: pg.ClientBase): object =>
  (client as unknown as { connection?: object }).connection ?? client

/** `I` if there is no transaction; undefined if this version of pg does not tell. */
const transactionOf = (client: pg.ClientBase) =>
  (client as { getTransactionStatus?(): string | null }).getTransactionStatus?.()

/**
 * A query in the form that pg's client expects. A tool that instruments the client may pass a copy of its fields instead; pg
 * then runs that as its own query, with the same result.
 */
class FastQuery {
  readonly [OWN_TIMEOUT] = true
  readonly name: string
  readonly text: string
  readonly values: readonly unknown[]
  readonly rowMode = 'array'
  readonly types: BoundedRows['types']
  readonly commits: boolean
  callback: Callback
  readonly answer: BoundedRows

  constructor(
    { name = '', text, values = [], commits = false }: QuerySpec,
    answer: BoundedRows,
    callback: Callback,
  ) {
    this.name = name
    this.text = text
    this.values = values.map((value) => (value instanceof Pieces ? value : utils().prepareValue(value)))
    this.types = answer.types
    this.answer = answer
    this.commits = commits
    this.callback = callback
  }

  submit(wire: Wire): void {
    const { name, text, values } = this
    const { stream } = wire
    stream.cork()
    try {
      if (!name || !(wire.parsedStatements[name] ?? wire.submittedNamedStatements[name])) {
        wire.parse({ name, text })
        if (name) wire.submittedNamedStatements[name] = text
      }
      if (values.some((value) => value instanceof Pieces)) bindPieces(stream, name, values)
      else wire.bind({ statement: name, values })
      if (stream.writable) stream.write(EXECUTE_AND_SYNC)
    } catch (error) {
      stream.destroy() // the next query must not continue a half-sent one
      throw error
    } finally {
      stream.uncork()
    }
  }

  handleDataRow({ fields, length }: { fields: string[]; length: number }): void {
    this.answer.add(fields, length)
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.callback(null, this.answer)
  }

  handleError(error: Error): void {
    this.callback(error)
  }
}
// pg accepts only its own queries on a pipelined connection. This is not `extends`, because we do not want its constructor to
// run.
Object.setPrototypeOf(
  FastQuery.prototype,
  (pg as unknown as { Query: { prototype: object } }).Query.prototype,
)

/**
 * Sends a Bind message with all values and result columns as text. pg's serializer would copy all values into one buffer and
 * keep it.
 */
function bindPieces(stream: Duplex, statement: string, values: readonly unknown[]): void {
  const texts = values as readonly (string | null | Pieces)[]
  const sizes = texts.map((text) =>
    text === null ? -1 : text instanceof Pieces ? text.byteLength : Buffer.byteLength(text),
  )
  const size = sizes.reduce((sum, size) => sum + 4 + Math.max(size, 0), 0)
  const name = Buffer.from(`\0${statement}\0`) // the portal has no name
  stream.write(Buffer.concat([Buffer.from('B'), int32(4 + name.length + 4 + size + 2), name]))
  stream.write(Buffer.concat([int16(0), int16(texts.length)]))
  texts.forEach((text, i) => {
    stream.write(int32(sizes[i]!))
    for (const piece of text instanceof Pieces ? text : [text]) if (piece) stream.write(piece, 'utf8')
  })
  stream.write(int16(0))
}

function int32(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(4)
  buffer.writeInt32BE(value)
  return buffer
}

function int16(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(2)
  buffer.writeInt16BE(value)
  return buffer
}

/** Versions of pg without pipelines do not have this. */
const utils = () => (pg as unknown as { utils: { prepareValue(value: unknown): unknown } }).utils

/** A connection that sends queries without waiting for the answer to the previous one. Ours do. */
type Pipelined = pg.ClientBase & { connection: { stream: Duplex } }

/** Another copy of the pg package would not accept our queries. */
function isPipelined(client: pg.ClientBase): client is Pipelined {
  return client instanceof pg.Client && (client as { pipeline?: boolean }).pipeline === true
}
