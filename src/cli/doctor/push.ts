// Checks of push: whether NOTIFY arrives, and whether its queue is full.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { now } from '../../core/clock.ts'
import { withTimeout } from '../../core/timeout.ts'
import { statements } from '../../database/statements.ts'
import type { Check, Finding } from './check.ts'
import { duration, median, ok, problem, warning } from './check.ts'

const ROUNDS = 5
/** How long to wait for a notification. */
const NOTIFY_TIMEOUT_MS = 3_000

export const push: Check = {
  name: 'push',
  needs: 'server',
  async run({ db, listenUrl }) {
    const client = new pg.Client(db.connectionConfig('meowmx doctor', listenUrl))
    client.on('error', () => {}) // the query that fails reports it
    const path = listenUrl === undefined ? 'LISTEN' : 'LISTEN through --listen-url'
    try {
      await client.connect()
      const channel = `meowmx_${randomUUID()}`
      let received = () => {}
      client.on('notification', (message) => message.channel === channel && received())
      await client.query(`listen "${channel}"`)
      const { rows } = await client.query({ text: statements.serverIdentity.text, rowMode: 'array' })
      const [here] = await db.query(statements.serverIdentity, {})
      if (rows[0]![0] !== here![0])
        return problem(
          `${path} leads to another server or database (${rows[0]![0]}, not ${here![0]})`,
          'give --listen-url (listenConnectionString) the address of the same database, past the pooler',
        )
      const times: number[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const notification = new Promise<true>((resolve) => {
          received = () => resolve(true)
        })
        const began = now()
        await db.query(statements.notify, { channel })
        const arrived = await withTimeout<boolean>(
          NOTIFY_TIMEOUT_MS,
          () => notification,
          () => false,
        )
        if (!arrived) return notReceived(path)
        times.push(now() - began)
      }
      return ok(`a notification takes ${duration(median(times))}`)
    } catch (error) {
      throw db.translate(error)
    } finally {
      await client.end().catch(() => {})
    }
  },
}

const notReceived = (path: string): Finding =>
  problem(
    `${path} receives nothing: a NOTIFY did not arrive within ${duration(NOTIFY_TIMEOUT_MS)}. Events come only by polling, once a second`,
    'behind PgBouncer in transaction mode, give --listen-url (listenConnectionString) the address of the server itself, or use listen: false',
  )

export const queue: Check = {
  name: 'queue',
  needs: 'server',
  async run({ db }) {
    const [row] = await db.query(statements.doctorServer, {})
    const used = Number(row!.at(-1))
    const found = `the queue of NOTIFY is ${(used * 100).toFixed(used > 0 && used < 0.01 ? 2 : 0)}% full`
    const todo =
      'end the session that listens and keeps a transaction open (see transactions): when the queue is full, no append can commit'
    if (used > 0.5) return problem(found, todo)
    return used > 0.05 ? warning(found, todo) : ok(found)
  },
}
