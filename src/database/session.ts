import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type pg from 'pg'
import { after } from '../core/clock.ts'
import { isServerError, isServerFailure, SessionEnded } from './failures.ts'

/** What we use of pg's connection. */
type Wire = EventEmitter & { readonly stream: Duplex }

/** Errors behind which the server was ready for the next query. */
const survived = new WeakSet<object>()
const watched = new WeakSet<Wire>()

/** How long the server may take to say that it is ready, or to end the connection. */
const ENDING_MS = 1_000

/** Undefined: of pg's native client, or of one that is not pg's. */
function wireOf(client: pg.ClientBase): Wire | undefined {
  const { connection } = client as unknown as { connection?: Partial<Wire> }
  return typeof connection?.on === 'function' && connection.stream ? (connection as Wire) : undefined
}

/** Take note, from now on, of the errors that a session outlives. */
export function watchErrors(client: pg.ClientBase): void {
  const wire = wireOf(client)
  if (!wire || watched.has(wire)) return
  watched.add(wire)
  wire.on('errorMessage', (error: object) => {
    wire.once('readyForQuery', () => survived.add(error))
  })
}

/**
 * The error, or a `SessionEnded` if the server ended the session with it (FATAL, PANIC), which leaves open whether a commit was
 * done. Its severity would tell, but is translated: so it is known by what follows, ReadyForQuery or the end of the connection.
 */
export async function sessionError(client: pg.ClientBase, error: unknown): Promise<unknown> {
  if (!isServerError(error) || survived.has(error as object)) return error
  const wire = wireOf(client)
  const alive = wire ? await isReady(wire) : !isServerFailure(error) // it does not tell
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
