import type pg from 'pg'
import { attempt } from '../core/describe.ts'
import { isError } from '../core/kinds.ts'
import { StatementLost } from './failures.ts'
import type { QuerySpec } from './fast-query.ts'
import { SQLSTATE } from './sqlstate.ts'

/** Connections that have lost a prepared statement. */
const lostStatements = new WeakSet<object>()

/** A lost statement aborts the transaction. So inside transactions, a connection that has lost one gets no named statements. */
export function mayBeNamed(client: pg.ClientBase): boolean {
  return !lostStatements.has(connectionOf(client)) || transactionOf(client) === 'I'
}

/**
 * Notes that a prepared statement is lost, or exists although it should not, so that the query can be repeated. This happens
 * after DEALLOCATE or DISCARD ALL, or if a pooler assigned another session.
 */
export function noteLostStatement(error: Error, client: pg.ClientBase, { name, text }: QuerySpec): Error {
  const { code, message } = error as { code?: string; message: string }
  // A statement that a trigger executes by a name of its own is not ours.
  if (
    !name ||
    !(code === SQLSTATE.noStatement || code === SQLSTATE.statementExists) ||
    !message.includes(name)
  )
    return error
  const { connection, namedQueries } = client as unknown as {
    connection?: { parsedStatements: Record<string, string> }
    namedQueries?: Record<string, string>
  }
  const prepared = connection?.parsedStatements ?? namedQueries ?? {} // pg's native client has namedQueries
  if (code === SQLSTATE.statementExists) prepared[name] = text
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
