import { ConnectionError, LimitError, SchemaError, TimeoutError } from '../core/errors.ts'
import { redact } from '../core/secrets.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { connectionProblem, lostConnection } from './connection-problems.ts'
import {
  isLost,
  isPgClient,
  isSchemaHidden,
  isServerError,
  QUERY_TIMEOUT,
  StatementLost,
} from './failures.ts'
import { SQLSTATE } from './sqlstate.ts'

/** pg-pool's message if no connection becomes free in time. */
export const POOL_TIMEOUT = 'timeout exceeded when trying to connect'

/**
 * Converts an error of the driver or the server to one of ours that says what to do. Other errors are returned unchanged, and
 * so are those of a `client` that is not pg's: they may have nothing to do with a connection.
 */
export function translate(
  error: unknown,
  { schema, queryTimeoutMs }: { readonly schema: string; readonly queryTimeoutMs: number },
  client?: SqlClient,
): unknown {
  const isOurs = !client || isPgClient(client) || isServerError(error)
  const problem = isOurs ? connectionProblem(error) : undefined
  if (problem !== undefined) return new ConnectionError(problem, error)
  const { code, message } = error as { code?: string; message?: string }
  switch (code) {
    case SQLSTATE.noSchema:
    case SQLSTATE.noTable:
    case SQLSTATE.noFunction:
    case SQLSTATE.noColumn:
      if (isSchemaHidden(error))
        return new ConnectionError(
          `missing rights: ${message}, as a function of schema "${schema}" says; grant usage on the schema to this role, or, if its tables were dropped, restore them`,
          error,
        )
      return new SchemaError(
        schema,
        `schema "${schema}" is not migrated (${message}): call await meow.migrate() once, as a role that may create it`,
        error,
      )
    case SQLSTATE.noRights:
      return new ConnectionError(
        `missing rights: ${message}; grant them on schema "${schema}" to this role, or connect as another`,
        error,
      )
    case SQLSTATE.noDatabase:
      return new ConnectionError(
        `${message}; create it, or check the database name of the connection string or PGDATABASE`,
        error,
      )
    case SQLSTATE.noConnectionLeft:
      return new ConnectionError(
        `the server has no connection left: ${message}; lower maxConnections or raise max_connections`,
        error,
      )
    case SQLSTATE.noStatement:
    case SQLSTATE.statementExists:
      if (error instanceof StatementLost && error.inTransaction)
        return new ConnectionError(
          `${message}: the statements of this connection were deallocated (DEALLOCATE, DISCARD ALL), or a pooler gave its session away (then connect with prepare: false), and the transaction is aborted: roll it back and run it again`,
          error,
        )
      return new ConnectionError(
        `${message}: a pooler gave the statement's session away; connect with prepare: false, or upgrade to PgBouncer 1.21 or later`,
        error,
      )
    case SQLSTATE.readOnly:
      return new ConnectionError(
        `the server can only be read: ${message}; connect to the primary, or list it with its standbys and target_session_attrs=read-write (connectionString, or PGHOST and PGTARGETSESSIONATTRS); or, if default_transaction_read_only is set for this role or database, reset that`,
        error,
      )
    case SQLSTATE.sequenceAtEnd:
      return new LimitError(
        `the store "${schema}" has no position left (${message}): nothing was written; copy its events into a new store (meowmx export, import), which numbers them from 1`,
        error,
      )
    case SQLSTATE.streamFull:
      return new LimitError(`${message}; nothing was written: go on in a new stream`, error)
    case SQLSTATE.wrongIsolation:
    case SQLSTATE.isStandby:
    case SQLSTATE.schemaRenamed:
      return new SchemaError(schema, message ?? code, error)
  }
  if (message === POOL_TIMEOUT) {
    return new TimeoutError(
      'waiting for one of the maxConnections connections, all in use,',
      queryTimeoutMs,
      error,
    )
  }
  if (message === QUERY_TIMEOUT) return new TimeoutError('a query', queryTimeoutMs, error)
  if (isOurs && isLost(error)) {
    return new ConnectionError(lostConnection(reason(error)), error)
  }
  return redact(error)
}

function reason(error: unknown): string {
  const { message, code, errors } = error as {
    message?: string
    code?: string
    errors?: { message: string }[]
  }
  return message || errors?.[0]?.message || code || String(error)
}
