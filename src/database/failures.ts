import type pg from 'pg'
import { ConnectionError, LimitError, MeowError, SchemaError, TimeoutError } from '../core/errors.ts'
import { isError } from '../core/kinds.ts'

/** pg's words where an answer does not come in time. */
export const QUERY_TIMEOUT = 'Query read timeout'

/**
 * A connection has a named statement no longer that it was thought to have, or has it already. It was not run. Inside a
 * transaction the server has aborted that.
 */
export class StatementLost extends Error {
  readonly code: '26000' | '42P05'
  readonly statement: string
  readonly inTransaction: boolean
  /** Which connection: a function, for who prints an error has no use for all of that. */
  readonly connection: () => object

  constructor(
    cause: Error,
    code: '26000' | '42P05',
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

/** An error after which the server ended the session, though its SQLSTATE alone does not say so. */
export class SessionEnded extends Error {
  readonly code: string | undefined

  constructor(cause: Error) {
    super(cause.message, { cause })
    this.code = (cause as { code?: string }).code
  }
}

/** The server is still there, and has not committed. */
export class CommitFailed extends MeowError {
  constructor(cause: unknown) {
    super('ERR_COMMIT', 'a transaction could not be committed', cause)
  }
}

/** The session is over, or never began: connection exceptions, shutdowns, no connection left, its own time limits, logins. */
const ENDS_SESSION = /^(08|28|57P|53300|25P03|25P04|3D000)/

/** What the server answers because of its own state, whatever it is asked; some of it may have ended the session. */
const OF_SERVER = /^(08|25P0[34]|40|53|54|55|57|58|F0|XX)/

/** Not migrated, or too new; the end of all positions; what the functions of the schema refuse. */
const PERMANENT = /^(3F000|42P01|42883|42703|2200H|MW)/

/**
 * Whether a failure is the connection's, not the query's: to be tried again, and on another connection. What the server says
 * has a severity, whose text it translates; the driver's and the system's own errors have none.
 */
export function isLost(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return isLost(error.cause)
  if (error instanceof MeowError || error instanceof StatementLost || !isError(error)) return false
  if (isServerError(error)) return ENDS_SESSION.test(codeOf(error))
  return !/^(Type|Range|Reference|Syntax)Error$/.test(error.name)
}

/** Whether it is a standby's answer: somewhere there is a primary, or will be. */
export function isReadOnly(error: unknown): boolean {
  return ['25006', 'MW005'].includes(codeOf(error))
}

/** Whether it is the state of the server, not what it was asked, that it failed by. Its connection is not used again. */
export function isServerFailure(error: unknown): boolean {
  return isLost(error) || isReadOnly(error) || OF_SERVER.test(codeOf(error))
}

/**
 * Whether what goes on for ever should try again: whatever the server says may pass, unless it is known to need a person. What
 * handlers and other code of users throw is not to be asked about here.
 */
export function isTransient(error: unknown): boolean {
  if (isLost(error) || isReadOnly(error) || error instanceof StatementLost) return true
  if (error instanceof ConnectionError || error instanceof TimeoutError) return isTransient(error.cause)
  return !(error instanceof MeowError) && isServerError(error) && !PERMANENT.test(codeOf(error))
}

/**
 * The same for what has never succeeded yet: a right that is missing from the beginning was not taken away for a moment, and a
 * pooler that gives sessions away will go on to do so.
 */
export function isTransientAtStart(error: unknown): boolean {
  return isTransient(error) && !/^(42501|26000|42P05)$/.test(codeOf(error))
}

/** NOTIFY's queue is full. Other limits have the same SQLSTATE, and what the server says may be in any language. */
export function isQueueFull(error: unknown): boolean {
  const { code, file } = (error ?? {}) as { code?: string; file?: string }
  return code === '54000' && file === 'async.c'
}

/** Whether the server was reached, and did not do what it was asked: not that the connection ended, or the server does. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return isRefusal(error.cause)
  return (isServerError(error) || error instanceof StatementLost) && !/^(08|57P)/.test(codeOf(error))
}

/** Whether the server said it. */
export function isServerError(error: unknown): boolean {
  return (error as { severity?: unknown } | null | undefined)?.severity !== undefined
}

/** A client of pg, of whichever copy: it has a connection, or libpq's. */
export function isPgClient(client: pg.ClientBase): boolean {
  const { connection, native } = client as { connection?: { stream?: unknown }; native?: unknown }
  return connection?.stream !== undefined || native !== undefined
}

/**
 * The SQLSTATE that is behind an error, or the driver's or system's code, or ''. Only of what we have made of an error of the
 * database: what a handler threw may look like one.
 */
export function codeOf(error: unknown): string {
  const { code } = ((error instanceof MeowError ? causeOf(error) : error) ?? {}) as { code?: string }
  return code ?? ''
}

function causeOf(error: MeowError): unknown {
  const isOfDatabase = [CommitFailed, ConnectionError, LimitError, SchemaError, TimeoutError].some(
    (type) => error instanceof type,
  )
  return isOfDatabase ? error.cause : undefined
}
