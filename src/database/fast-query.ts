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

/** Of a query whose time is kept by who asks, not by pg. */
export const OWN_TIMEOUT = Symbol('meowmx.timed')

export interface QuerySpec {
  /** Under this name a connection remembers it. */
  readonly name?: string | undefined
  /** One statement. */
  readonly text: string
  readonly values?: readonly unknown[]
  /**
   * It commits an append. The server is not asked to cancel it when it is late: it may only wait for a standby, and would
   * then show events that no standby has.
   */
  readonly commits?: boolean | undefined
}

type Callback = (error: Error | null, result?: { rows: Row[] } | BoundedRows) => void

/** What we use of pg's connection. */
interface Wire {
  readonly stream: Duplex
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
  parse(statement: { name: string; text: string }): void
  bind(portal: { statement: string; values: readonly unknown[] }): void
}

/** As the protocol has them: all rows of the portal that was bound, and no more of this query. */
const EXECUTE_AND_SYNC = Buffer.from('E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04', 'latin1')
const deadlines = new Deadlines()

/**
 * One query, answered within so many ms. `answer` says how many bytes of rows are kept.
 *
 * On a connection of ours, as a query of our own instead of pg's: that asks for a description of the columns each time, makes
 * an event emitter and a result, and hands each value through a parser, all of which is known here to be for nothing. What
 * is more, with pg's own promise or its `query_timeout` all that a process reads outlives V8's scavenges, until the next full
 * collection (pg 8.23, Node 20: of what is allocated half survives, instead of 6 % at most); so it is wherever a query is
 * given its callback after it is made. So that is handed in at once, and the time is kept here.
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
        client.connection.stream.destroy() // as pg does: what was sent behind it would wait as long
      },
    }
    const callback: Callback = (error, result) => {
      if (error)
        return void sessionError(client, error).then((failure) => {
          deadlines.delete(deadline)
          reject(noteLostStatement(failure as Error, client, asked))
        })
      deadlines.delete(deadline)
      if (result !== answer) answer.addAll(result!.rows) // it was a query of pg's own
      resolve(answer.rows)
    }
    deadlines.add(deadline)
    try {
      client.query(new FastQuery(asked, answer, callback) as unknown as pg.Submittable)
    } catch (error) {
      deadlines.delete(deadline) // a client that was lent, and is taken back
      reject(error)
    }
  })
}

/** One that waits in a connection's queue, behind a caller's own, has to leave it when it is late, as only pg can do. */
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
    // The caller is told once it is cancelled: the next query on this connection must not be hit.
    if (isLate && own && !commits && sentQueries(client)[0] === own)
      await cancel(client, cancelTimeoutMs(timeoutMs))
    throw noteLostStatement((await sessionError(client, error)) as Error, client, asked)
  }
}

/** How long the server may take to hear that it is to cancel: it may be the one that is away. */
export const cancelTimeoutMs = (timeoutMs: number) => Math.min(1_000, timeoutMs)
/** Between two cancellations, so that the second one meets the next query. */
const NEXT_MS = 20

const givenUp = new WeakMap<pg.ClientBase, Promise<void>>()

/** Before a connection is destroyed: no answer is read any more, and the server stops what it does for us there. */
function cancelAndStopReading(client: Pipelined, timeoutMs: number): Promise<void> {
  const known = givenUp.get(client)
  if (known) return known
  client.connection.stream.pause()
  const ending = cancelSentQueries(client, timeoutMs)
  givenUp.set(client, ending)
  return ending
}

/** Cancels what the server works on, and what follows it on this connection, as far as it is ours. */
async function cancelSentQueries(client: pg.ClientBase, timeoutMs: number): Promise<void> {
  const sent = sentQueries(client)
  const others = sent.findIndex((query) => !(query instanceof FastQuery) || query.commits)
  for (let left = others < 0 ? sent.length : others; left > 0; left--) {
    if (!(await cancel(client, cancelTimeoutMs(timeoutMs)))) return
    if (left > 1) await sleep(NEXT_MS)
  }
}

/** The queries that are sent and not answered; the server works on the first one. By pg's own names: [] if it has others. */
function sentQueries(client: pg.ClientBase): unknown[] {
  const { _activeQuery, _sentQueryQueue = [] } = client as {
    _activeQuery?: unknown
    _sentQueryQueue?: unknown[]
  }
  return _activeQuery ? [_activeQuery, ..._sentQueryQueue] : []
}

/** In one round trip where the connection is a pipeline; else one after the other: pg gives up queueing (9.0). */
export async function runTogether<const T extends readonly (() => Promise<unknown>)[]>(
  client: pg.ClientBase,
  questions: T,
): Promise<{ -readonly [K in keyof T]: Awaited<ReturnType<T[K]>> }> {
  const answers: unknown[] = []
  if (isPipelined(client)) {
    // All are answered before one's failure gives the connection back.
    for (const answer of await Promise.allSettled(questions.map((question) => question()))) {
      if (answer.status === 'rejected') throw answer.reason
      answers.push(answer.value)
    }
  } else {
    for (const question of questions) answers.push(await question())
  }
  return answers as never
}

/** Connections that have lost a statement once. */
const lostStatements = new WeakSet<object>()

/** Losing a statement aborts a transaction. A connection where that has happened is asked without names inside of them. */
function mayBeNamed(client: pg.ClientBase): boolean {
  return !lostStatements.has(connectionOf(client)) || transactionOf(client) === 'I'
}

/**
 * If the server does not have a statement that this connection is thought to have (somebody ran DEALLOCATE or DISCARD ALL, or
 * a pooler gave the session away), or has it already: take note, so that the question may be asked again.
 */
function noteLostStatement(error: Error, client: pg.ClientBase, { name, text }: QuerySpec): Error {
  const { code, message } = error as { code?: string; message: string }
  // What a trigger executes by a name of its own is not ours.
  if (!name || !(code === '26000' || code === '42P05') || !message.includes(name)) return error
  const { connection, namedQueries } = client as unknown as {
    connection?: Wire
    namedQueries?: Wire['parsedStatements']
  }
  const prepared = connection?.parsedStatements ?? namedQueries ?? {} // the latter: of pg's native client
  if (code === '42P05') prepared[name] = text
  else delete prepared[name]
  lostStatements.add(connectionOf(client))
  const status = transactionOf(client)
  return new StatementLost(error, code, name, connectionOf(client), status === 'T' || status === 'E')
}

/** The name of the statement that this connection has lost, if that is why something failed. It was not run. */
export function lostStatement(client: pg.ClientBase, error: unknown): string | undefined {
  for (let cause = error, depth = 0; isError(cause) && depth < 10; cause = causeOf(cause), depth++)
    if (cause instanceof StatementLost && cause.connection() === connectionOf(client)) return cause.statement
  return undefined
}

/** It may be a handler's, which is not to be trusted with anything. */
const causeOf = (error: Error): unknown => attempt(() => error.cause)

/** The same for a client and for what inherits from it, as handlers are lent. */
const connectionOf = (client: pg.ClientBase): object =>
  (client as unknown as { connection?: object }).connection ?? client

/** `I`: outside of any transaction. Undefined: this version of pg does not say. */
const transactionOf = (client: pg.ClientBase) =>
  (client as { getTransactionStatus?(): string | null }).getTransactionStatus?.()

/**
 * A query on its way, by the names that pg's client calls it by. What instruments the client may hand it a copy of the
 * fields instead: to pg they are a query of its own, whose answer is the same.
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
      stream.destroy() // half a query must not become part of the next one
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
// pg lets no queries but its own onto a pipelined connection. Not `extends`: its constructor is what we do without.
Object.setPrototypeOf(
  FastQuery.prototype,
  (pg as unknown as { Query: { prototype: object } }).Query.prototype,
)

/**
 * Sends a Bind message as pg would (its serializer makes one buffer of all values, and keeps it as a copy beside them): all
 * values as text, and the columns of the answer, too.
 */
function bindPieces(stream: Duplex, statement: string, values: readonly unknown[]): void {
  const texts = values as readonly (string | null | Pieces)[]
  const sizes = texts.map((text) =>
    text === null ? -1 : text instanceof Pieces ? text.byteLength : Buffer.byteLength(text),
  )
  const size = sizes.reduce((sum, size) => sum + 4 + Math.max(size, 0), 0)
  const name = Buffer.from(`\0${statement}\0`) // the portal has none
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

/** Not there in versions of pg that have no pipelines either. */
const utils = () => (pg as unknown as { utils: { prepareValue(value: unknown): unknown } }).utils

/** Such a connection sends at once what it is asked; ours are. */
type Pipelined = pg.ClientBase & { connection: { stream: Duplex } }

/** Another copy of pg would take our queries for strangers. */
function isPipelined(client: pg.ClientBase): client is Pipelined {
  return client instanceof pg.Client && (client as { pipeline?: boolean }).pipeline === true
}
