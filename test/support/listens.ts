import pg from 'pg'
import { until } from './until.ts'

/**
 * LISTEN and UNLISTEN of all connections of this process, as they were answered. (What pg_stat_activity shows is a connection's last
 * query, and the listener asks each second whether it is alive.)
 */
const answered: string[] = []
let newest: pg.Client

const query = pg.Client.prototype.query as (...args: unknown[]) => unknown
pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
  const result = query.apply(this, args)
  const [text] = args
  if (typeof text === 'string' && /^(UN)?LISTEN /.test(text)) {
    newest = this
    ;(result as Promise<unknown>).then(
      () => answered.push(text.replaceAll('"', '')),
      () => {},
    )
  }
  return result
} as typeof pg.Client.prototype.query

/** Waits until a channel whose name ends so is listened to, or no longer. */
export async function heard(command: 'LISTEN' | 'UNLISTEN', channelEnd: string): Promise<void> {
  const found = () => answered.some((text) => text.startsWith(`${command} `) && text.endsWith(channelEnd))
  await until(found, { what: `${command} …${channelEnd}` })
}

/** What the connection listens to that last said LISTEN or UNLISTEN, as the server knows it. */
export async function channels(): Promise<string[]> {
  const { rows } = await newest.query('select pg_listening_channels() as channel')
  return rows.map(({ channel }) => channel)
}
