import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type pg from 'pg'
import { after } from '../core/clock.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { isServerError, isServerFailure, SessionEnded } from './failures.ts'

/** The parts of pg's connection that are used here. */
type Wire = EventEmitter & { readonly stream: Duplex }

/** Errors after which the server was ready for the next query. */
const survived = new WeakSet<object>()
const watched = new WeakSet<Wire>()

/** How long the server may take to report that it is ready or to end the connection. In ms. */
const ENDING_MS = 1_000

/** Undefined for pg's native client, and for a client of another driver. */
function wireOf(client: SqlClient): Wire | undefined {
  const { connection } = client as unknown as { connection?: Partial<Wire> }
  return typeof connection?.on === 'function' && connection.stream ? (connection as Wire) : undefined
}

/** Starts to record the errors that a session survives. */
export function watchErrors(client: pg.ClientBase): void {
  const wire = wireOf(client)
  if (!wire || watched.has(wire)) return
  watched.add(wire)
  wire.on('errorMessage', (error: object) => {
    wire.once('readyForQuery', () => survived.add(error))
  })
}

/**
 * The error, or a `SessionEnded` if the server ended the session with it (FATAL, PANIC). Then a commit may or may not have
 * happened. The severity is translated, so this waits for what follows: ReadyForQuery or the end of the connection.
 */
export async function sessionError(client: SqlClient, error: unknown): Promise<unknown> {
  if (!isServerError(error) || survived.has(error as object)) return error
  const wire = wireOf(client)
  const alive = wire ? await isReady(wire) : !isServerFailure(error) // other clients do not tell
  return alive ? error : new SessionEnded(error as Error)
}

function isReady(wire: Wire): Promise<boolean> {
  if (wire.stream.destroyed) return Promise.resolve(false)
  return new Promise((resolve) => {
    const settle = (alive: boolean) => () => {
      forget()
      wire.off('readyForQuery', ready).off('end', ended)
      resolve(alive)
    }
    const [ready, ended] = [settle(true), settle(false)]
    const forget = after(ENDING_MS, ended)
    wire.once('readyForQuery', ready).once('end', ended)
  })
}
