import { isDeepStrictEqual } from 'node:util'
import pg from 'pg'
import type { Database } from '../database/database.ts'
import { Line } from './listen-connection.ts'
import type { ListenConfig } from './subscriber.ts'
import { makeSubscriber, wayOf } from './subscriber.ts'

/** The lines of this process, each with where it goes. */
const lines = new Map<Line, unknown>()

/**
 * The line of a store: that of all stores of this process that listen in the same database as the same role, for as long as
 * one of them is open. LISTEN is per database, so stores in two databases of one server have two.
 */
export function lineOf(db: Database): Line {
  const way = wayOf(db)
  const { config, servers, checkMs, reconnectDelayMs } = way
  const places = (servers?.all ?? [{}]).map((server) => whereTo({ ...config, ...server }))
  const where = [places, checkMs, reconnectDelayMs]
  for (const [line, place] of lines) if (isDeepStrictEqual(place, where)) return line
  const line = new Line(
    db.clock,
    config.query_timeout,
    (events, schema) => makeSubscriber(way, schema, events),
    () => lines.delete(line),
    reconnectDelayMs,
  )
  lines.set(line, where)
  return line
}

/**
 * What a connection depends on, whatever it was made of: an address, single settings, the environment. A password or a
 * socket that a function makes is the same where the function is.
 */
function whereTo({ stream, ...config }: ListenConfig): unknown {
  // The driver's own reading of all that. What is secret it hides from whoever looks, and so from a comparison.
  const { connectionParameters } = new pg.Client(config) as unknown as {
    connectionParameters: { password?: unknown; ssl?: { key?: unknown } }
  }
  const { password, ssl } = connectionParameters
  return [connectionParameters, password, ssl?.key, stream]
}
