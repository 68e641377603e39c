import type { Duplex } from 'node:stream'
import type pg from 'pg'
import { LATE } from './failures.ts'

/** Of a query whose time is kept by who asks, not by pg. */
export const TIMED = Symbol('meowmx.timed')

/**
 * One query, answered within so many ms, each row an array.
 *
 * On a connection of ours pg's own promise and its `query_timeout` are passed by: with either of them all that a process
 * reads outlives V8's scavenges, until the next full collection. Measured with pg 8.23 on Node 20, reading page after
 * page: of what is allocated half survives each scavenge instead of 6 % at most, and an event takes twice the CPU. So it is
 * wherever a query is given its callback after it is made; so that is handed in at once, and the time is kept here.
 */
export function ask<T extends any[] = any[]>(
  client: pg.ClientBase,
  query: pg.QueryConfig,
  timeoutMs: number,
): Promise<T[]> {
  // One that waits in a connection's queue, behind a caller's own, has to leave it when it is late, as only pg can do.
  if (!isPipelined(client))
    return client
      .query<T>({ ...query, rowMode: 'array', query_timeout: timeoutMs } as pg.QueryArrayConfig)
      .then(({ rows }) => rows)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(LATE))
      client.connection.stream.destroy() // as pg does: what was sent behind it would wait as long
    }, timeoutMs)
    const callback = (error: Error | null, result: pg.QueryArrayResult<T>) => {
      clearTimeout(timer)
      if (error) reject(error)
      else resolve(result.rows)
    }
    try {
      client.query({ ...query, rowMode: 'array', callback, [TIMED]: true } as pg.QueryArrayConfig)
    } catch (error) {
      clearTimeout(timer) // a client that was lent, and is taken back
      reject(error)
    }
  })
}

/** Such a connection sends at once what it is asked; ours are. */
type Pipelined = pg.ClientBase & { connection: { stream: Duplex } }

function isPipelined(client: pg.ClientBase): client is Pipelined {
  return (client as { pipeline?: boolean }).pipeline === true
}
