import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { after, now } from '../../core/clock.ts'
import type { Check, Finding } from './check.ts'
import { duration, median, ok, problem, warning } from './check.ts'

const ROUNDS = 5
/** How long to wait for a notification. */
const PATIENCE_MS = 3_000
/** What tells one server and database from another. */
const IDENTITY = `select current_database() || ' ' || pg_postmaster_start_time()`

export const push: Check = {
  name: 'push',
  needs: 'server',
  async look({ db, listenUrl }) {
    const client = new pg.Client(db.connectionConfig('meowmx doctor', listenUrl))
    client.on('error', () => {}) // the query that it breaks tells
    const way = listenUrl === undefined ? 'LISTEN' : 'LISTEN by --listen-url'
    try {
      await client.connect()
      const channel = `meowmx_${randomUUID()}`
      let heard = () => {}
      client.on('notification', (message) => message.channel === channel && heard())
      await client.query(`listen "${channel}"`)
      const { rows } = await client.query({ text: IDENTITY, rowMode: 'array' })
      const [here] = await db.query(db.statement(IDENTITY))
      if (rows[0]![0] !== here![0])
        return problem(
          `${way} leads to another server or database (${rows[0]![0]}, not ${here![0]})`,
          'give --listen-url (listenConnectionString) the address of the same database, past the pooler',
        )
      const notify = db.statement(`select pg_catalog.pg_notify($1, '')`)
      const times: number[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const echo = new Promise<true>((resolve) => {
          heard = () => resolve(true)
        })
        const began = now()
        await db.query(notify, [channel])
        const silence = new Promise<false>((resolve) => {
          after(PATIENCE_MS, () => resolve(false), { ref: false })
        })
        if (!(await Promise.race([echo, silence]))) return deaf(way)
        times.push(now() - began)
      }
      return ok(`an echo through NOTIFY takes ${duration(median(times))}`)
    } catch (error) {
      throw db.translate(error)
    } finally {
      await client.end().catch(() => {})
    }
  },
}

const deaf = (way: string): Finding =>
  problem(
    `${way} hears nothing: a NOTIFY did not come back within ${duration(PATIENCE_MS)}. Events come by polling, once a second`,
    'behind PgBouncer in transaction mode give --listen-url (listenConnectionString) the address of the server itself, or listen: false',
  )

export const queue: Check = {
  name: 'queue',
  needs: 'server',
  async look({ db }) {
    const [row] = await db.query(db.file('doctor_server'))
    const used = Number(row!.at(-1))
    const found = `NOTIFY's queue is ${(used * 100).toFixed(used > 0 && used < 0.01 ? 2 : 0)}% full`
    const todo =
      'end the session that listens and keeps a transaction open (see transactions): when it is full no append commits'
    if (used > 0.5) return problem(found, todo)
    return used > 0.05 ? warning(found, todo) : ok(found)
  },
}
