import type { SqlClient } from '../../src/adapters/index.ts'

/** A transaction of a library. */
export interface Transaction {
  /** What the library hands to the callback. */
  readonly own: unknown
  /** The client that meowmx makes of it. */
  readonly client: SqlClient
  /** Makes the client once more. */
  again(): SqlClient
  /** Writes a row with the library's own means. */
  note(name: string): Promise<unknown>
}

/** A library, connected to the server under test. */
export interface Library {
  readonly name: string
  /** Runs `body` in a transaction, which is rolled back if it throws. */
  transaction<T>(body: (transaction: Transaction) => Promise<T>): Promise<T>
  /** What is no transaction, but looks like one: the functions must refuse it. */
  refuse(): unknown
  /** Whether a transaction in which a query has failed can't be committed, even if the error was caught. */
  readonly keepsFailures?: boolean
  close(): Promise<unknown>
}

export interface Place {
  /** The address of the server. */
  readonly url: string
  /** The schema of the table `notes (name text primary key)`. */
  readonly schema: string
}

/** Connections of each library at most. */
export const CONNECTIONS = 8
