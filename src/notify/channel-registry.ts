import { isDeepStrictEqual } from 'node:util'
import pg from 'pg'
import type { Database } from '../database/database.ts'
import { ListenConnection } from './listen-connection.ts'
import type { ListenConfig } from './subscriber.ts'
import { listenSettingsOf, makeSubscriber } from './subscriber.ts'

/** The LISTEN connections of this process, each with where it goes. */
const connections = new Map<ListenConnection, unknown>()

/**
 * The LISTEN connection of a store. All stores of this process share it that listen in the same database as the same role;
 * it stays open while one of them is open. LISTEN belongs to a database, so stores in two databases of a server have two.
 */
export function listenConnectionOf(db: Database): ListenConnection {
  const settings = listenSettingsOf(db)
  const { config, servers, checkMs, reconnectDelayMs } = settings
  const places = (servers?.all ?? [{}]).map((server) => whereTo({ ...config, ...server }))
  const where = [places, checkMs, reconnectDelayMs]
  for (const [connection, place] of connections) if (isDeepStrictEqual(place, where)) return connection
  const connection = new ListenConnection(
    db.clock,
    config.query_timeout,
    (events, schema) => makeSubscriber(settings, schema, events),
    () => connections.delete(connection),
    reconnectDelayMs,
  )
  connections.set(connection, where)
  return connection
}

/**
 * What a connection depends on, whether it was given as an address, as single settings or by the environment. If a function
 * makes the password or the socket, the same function stands for the same value.
 */
function whereTo({ stream, ...config }: ListenConfig): unknown {
  // As the driver reads all that. It hides secrets, also from a comparison, so they are compared apart.
  const { connectionParameters } = new pg.Client(config) as unknown as {
    connectionParameters: { password?: unknown; ssl?: { key?: unknown } }
  }
  const { password, ssl } = connectionParameters
  return [connectionParameters, password, ssl?.key, stream]
}
