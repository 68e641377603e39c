import type pg from 'pg'
import { ConnectionError, LimitError, MeowError, SchemaError, TimeoutError } from '../core/errors.ts'
import { isError } from '../core/kinds.ts'
import { SQLSTATE } from './sqlstate.ts'

/** pg's message if an answer does not come in time. */
export const QUERY_TIMEOUT = 'Query read timeout'

type StatementState = typeof SQLSTATE.noStatement | typeof SQLSTATE.statementExists

/**
 * A connection no longer has a prepared statement that it should have, or already has it. The statement did not run. If this
 * happened inside a transaction, the server has aborted it.
 */
export class StatementLost extends Error {
  readonly code: StatementState
  readonly statement: string
  readonly inTransaction: boolean
  /** The connection. It is a function, so that printing the error does not print the connection. */
  readonly connection: () => object

  constructor(
    cause: Error,
    code: StatementState,
    statement: string,
    connection: object,
    inTransaction: boolean,
  ) {
    super(cause.message, { cause })
    this.code = code
    this.statement = statement
    this.inTransaction = inTransaction
    this.connection = () => connection
  }
}

/** The server ended the session with this error, although the SQLSTATE alone does not tell. */
export class SessionEnded extends Error {
  readonly code: string | undefined

  constructor(cause: Error) {
    super(cause.message, { cause })
    this.code = (cause as { code?: string }).code
  }
}

/** The commit failed, and the server is still there: nothing was committed. */
export class CommitFailed extends MeowError {
  constructor(cause: unknown) {
    super('ERR_COMMIT', 'a transaction could not be committed', cause)
  }
}

const S = SQLSTATE

/** The session ended or never began. */
const ENDS_SESSION = [
  S.connection,
  S.login,
  S.shutdown,
  S.noConnectionLeft,
  S.idleInTransaction,
  S.transactionTimeout,
  S.noDatabase,
]

/** Failures of the server itself, whatever the query is. Some of them end the session. */
const OF_SERVER = [
  S.connection,
  S.idleInTransaction,
  S.transactionTimeout,
  S.rolledBack,
  S.resources,
  S.programLimit,
  S.state,
  S.intervention,
  S.system,
  S.configuration,
  S.internal,
]

/** A function of the store refers to something that does not exist. */
const NOT_FOUND = [S.noSchema, S.noTable, S.noFunction]

/** Failures that no retry solves: not migrated or too new, no position left, refusals of the schema's functions. */
const PERMANENT = [...NOT_FOUND, S.noColumn, S.sequenceAtEnd, S.ofStore]

/** Whether the SQLSTATE of an error is one of these, or begins with one of these. */
export function hasState(error: unknown, ...states: readonly string[]): boolean {
  const code = codeOf(error)
  return states.some((state) => code.startsWith(state))
}

/**
 * Whether the connection failed, not the query, so that a retry on another connection makes sense. Errors of the server have a
 * severity (in the server's language); errors of the driver and the operating system have none.
 */
export function isLost(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return isLost(error.cause)
  if (error instanceof MeowError || error instanceof StatementLost || !isError(error)) return false
  if (isServerError(error)) return hasState(error, ...ENDS_SESSION)
  return !/^(Type|Range|Reference|Syntax)Error$/.test(error.name)
}

/** Whether a standby or a read-only server refused the write. A primary exists elsewhere, or will exist soon. */
export function isReadOnly(error: unknown): boolean {
  return hasState(error, S.readOnly, S.isStandby)
}

/** Whether the server's state caused the failure, not the query. The connection is not used again. */
export function isServerFailure(error: unknown): boolean {
  return isLost(error) || isReadOnly(error) || hasState(error, ...OF_SERVER)
}

/**
 * Whether an endless loop should retry. Everything that the server reports may pass, unless it is known to need a person. Do
 * not pass errors of handlers or other user code.
 */
export function isTransient(error: unknown): boolean {
  if (isLost(error) || isReadOnly(error) || error instanceof StatementLost) return true
  if (error instanceof ConnectionError || error instanceof TimeoutError) return isTransient(error.cause)
  if (error instanceof MeowError || !isServerError(error)) return false
  return isSchemaHidden(error) || !hasState(error, ...PERMANENT)
}

/**
 * Whether a function of the store did not find what it names: the role may not use the schema any more. The function itself was
 * called by a statement that was planned while the role still could, so the server does not say "permission denied".
 */
export function isSchemaHidden(error: unknown): boolean {
  const { where } = (error ?? {}) as { where?: string }
  return isServerError(error) && Boolean(where) && hasState(error, ...NOT_FOUND)
}

/**
 * The same for an operation that has never succeeded: a missing privilege was not taken away for a moment, and a pooler that
 * switches sessions will continue to do so.
 */
export function isTransientAtStart(error: unknown): boolean {
  return isTransient(error) && !hasState(error, S.noRights, S.noStatement, S.statementExists, ...NOT_FOUND)
}

/** Whether NOTIFY's queue is full. Other limits have the same SQLSTATE, and the message may be in any language. */
export function isQueueFull(error: unknown): boolean {
  const { code, file } = (error ?? {}) as { code?: string; file?: string }
  return code === S.programLimitExceeded && file === 'async.c'
}

/** Whether the server rolled the transaction back because of others: if it runs again, it sees what they wrote. */
export function isRolledBack(error: unknown): boolean {
  return hasState(error, S.deadlock, S.serializationFailure)
}

/** Whether the server received the query and refused it, and neither the connection nor the server has ended. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return isRefusal(error.cause)
  return (
    (isServerError(error) || error instanceof StatementLost) && !hasState(error, S.connection, S.shutdown)
  )
}

/** Whether the error comes from the server. */
export function isServerError(error: unknown): boolean {
  return (error as { severity?: unknown } | null | undefined)?.severity !== undefined
}

/** Whether it is a client of any copy of pg: it has a connection, or uses libpq. */
export function isPgClient(client: object): client is pg.ClientBase {
  const { connection, native } = client as { connection?: { stream?: unknown }; native?: unknown }
  return connection?.stream !== undefined || native !== undefined
}

/**
 * The SQLSTATE of an error, or the driver's or operating system's code, or ''. It looks inside only those errors of ours that
 * wrap a database error, because an error of a handler may look like one.
 */
export function codeOf(error: unknown): string {
  const { code } = ((error instanceof MeowError ? causeOf(error) : error) ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}

function causeOf(error: MeowError): unknown {
  const isOfDatabase = [CommitFailed, ConnectionError, LimitError, SchemaError, TimeoutError].some(
    (type) => error instanceof type,
  )
  return isOfDatabase ? error.cause : undefined
}
