import { connectionProblem } from './connection-problems.ts'
import { ConnectionError, LimitError, MeowError, SchemaError, TimeoutError } from './errors.ts'
import type { Settings } from './options.ts'
import { redact } from './secrets.ts'

/** pg-pool's words. */
export const POOL_TIMEOUT = 'timeout exceeded when trying to connect'

/** pg's words where an answer does not come in time. */
export const LATE = 'Query read timeout'

/**
 * A connection has a named statement no longer that it was thought to have, or has it already. It was not run. Inside a
 * transaction the server has aborted that.
 */
export class StatementLost extends Error {
  readonly code: '26000' | '42P05'
  readonly severity = 'ERROR'
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

/** An error of the driver or the server as one of ours that says what to do; others pass as they are. */
export function translate(
  error: unknown,
  { schema, queryTimeoutMs }: Pick<Settings, 'schema' | 'queryTimeoutMs'>,
): unknown {
  const problem = connectionProblem(error)
  if (problem !== undefined) return new ConnectionError(problem, error)
  const { code, message } = error as { code?: string; message?: string }
  switch (code) {
    case '3F000': // no such schema
    case '42P01': // no such table
    case '42883': // no such function
    case '42703': // no such column
      return new SchemaError(
        schema,
        `schema "${schema}" is not migrated (${message}): call await meow.migrate() once, as a role that may create it`,
        error,
      )
    case '42501':
      return new ConnectionError(
        `missing rights: ${message}; grant them on schema "${schema}" to this role, or connect as another`,
        error,
      )
    case '3D000':
      return new ConnectionError(
        `${message}; create it, or check the database name of the connection string or PGDATABASE`,
        error,
      )
    case '53300':
      return new ConnectionError(
        `the server has no connection left: ${message}; lower maxConnections or raise max_connections`,
        error,
      )
    case '26000': // a named statement is not there
    case '42P05': // or is, already
      if (error instanceof StatementLost && error.inTransaction)
        return new ConnectionError(
          `${message}: the statements of this connection were deallocated (DEALLOCATE, DISCARD ALL), or a pooler gave its session away (then connect with prepare: false), and the transaction is aborted: roll it back and run it again`,
          error,
        )
      return new ConnectionError(
        `${message}: a pooler gave the statement's session away; connect with prepare: false, or upgrade to PgBouncer 1.21 or later`,
        error,
      )
    case '25006': // read-only
      return new ConnectionError(
        `the server can only be read: ${message}; connect to the primary, or list it with its standbys and target_session_attrs=read-write (connectionString, or PGHOST and PGTARGETSESSIONATTRS); or, if default_transaction_read_only is set for this role or database, reset that`,
        error,
      )
    case '2200H': // a sequence has reached its last value
      return new LimitError(
        `the store "${schema}" has no position left (${message}): nothing was written; copy its events into a new store (meowmx export, import), which numbers them from 1`,
        error,
      )
    case 'MW009':
      return new LimitError(`${message}; nothing was written: go on in a new stream`, error)
    case 'MW004':
    case 'MW005':
    case 'MW013':
      return new SchemaError(schema, message ?? code, error)
  }
  if (message === POOL_TIMEOUT) {
    return new TimeoutError(
      'waiting for one of the maxConnections connections, all in use,',
      queryTimeoutMs,
      error,
    )
  }
  if (message === LATE) return new TimeoutError('a query', queryTimeoutMs, error)
  if (isLost(error)) {
    return new ConnectionError(
      `no connection to the server: ${reason(error)}; check that it runs and that host and port are right (connectionString, or PGHOST and PGPORT)`,
      error,
    )
  }
  return redact(error)
}

/** Whether a failure is the connection's, not the query's: to be tried again, and on another connection. */
export function isLost(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return isLost(error.cause)
  if (error instanceof MeowError || error instanceof TypeError || error instanceof RangeError) return false
  if (!(error instanceof Error)) return false
  const { code, severity } = error as { code?: string; severity?: string }
  if (severity === undefined) return true // the driver's, or the system's
  return severity === 'FATAL' || severity === 'PANIC' || /^(08|57P|53300)/.test(code ?? '')
}

/** Whether it is a standby's answer: somewhere there is a primary, or will be. */
export function isReadOnly(error: unknown): boolean {
  return ['25006', 'MW005'].includes(codeOf(error))
}

/**
 * Whether what goes on for ever should try again: also if a server is a standby for a while, cancels what takes too long
 * (statement_timeout, lock_timeout), saw a deadlock, or has no memory or disk left (class 53).
 */
export function isTransient(error: unknown): boolean {
  if (isLost(error)) return true
  return isReadOnly(error) || /^(57014|55P03|40P01|40001|53...)$/.test(codeOf(error))
}

function codeOf(error: unknown): string {
  const { code } = ((error instanceof MeowError ? error.cause : error) ?? {}) as { code?: string }
  return code ?? ''
}

function reason(error: unknown): string {
  const { message, code, errors } = error as {
    message?: string
    code?: string
    errors?: { message: string }[]
  }
  return message || errors?.[0]?.message || code || String(error)
}
