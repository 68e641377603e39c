import pg from 'pg'
import type { Figure } from '../report.ts'
import { atMost, figure } from '../report.ts'
import type { Filled } from './measure.ts'
import { least, push } from './measure.ts'

const PUSH_MS = 500

/** What others do on the same server must not make readers slow: each crowd comes, is measured, and goes. */
export const crowds: readonly ((store: Filled, url: string) => Promise<Figure[]>)[] = [
  (store, url) => strangers(store, url, 10_000),
  (store, url) => strangers(store, url, 16_000),
  transactions,
  bulk,
]

/** Advisory locks that have nothing to do with us. A look at the horizon is linear in them: near what pg_locks itself takes. */
async function strangers(store: Filled, url: string, count: number): Promise<Figure[]> {
  return withClients(url, 1, async ([client]) => {
    await client!.query('select pg_advisory_lock(7, i) from generate_series(1, $1) i', [count])
    const { meow, sql } = store
    const all = `beside ${count.toLocaleString('en-US')} advisory locks of a stranger`
    const locks = await least(() => sql.query('select count(*) from pg_locks'))
    const bound = Math.max(count / 500, 2 * locks)
    return [
      figure(`pg_locks itself, ${all}`, locks, 'ms'),
      atMost(`a look at the horizon (read of one event), ${all}`, await look(store), 'ms', bound),
      atMost(`stallers, ${all}`, await least(() => meow.stallers()), 'ms', 100 + bound),
      atMost(`push, ${all}`, await push(store), 'ms', PUSH_MS),
    ]
  })
}

/** 200 open transactions that have appended to 15 categories each. */
async function transactions(store: Filled, url: string): Promise<Figure[]> {
  return withClients(url, 200, async (clients) => {
    const append = `select count(*) from generate_series(1, 15) i,
      lateral ${store.schema}.append('open' || $1 || '-' || i, 'one', '[{"type": "Happened", "data": {}}]')`
    for (const [n, client] of clients.entries()) {
      await client.query('begin')
      await client.query(append, [n])
    }
    const all = 'beside 200 open transactions of 15 categories each'
    return [
      atMost(`a look at the horizon, ${all}`, await look(store), 'ms', 50),
      atMost(`stallers, ${all}`, await least(() => store.meow.stallers()), 'ms', 1_000),
      atMost(`push to a category of its own, ${all}`, await push(store), 'ms', PUSH_MS),
    ]
  })
}

/** A large open append, and small ones that were announced behind it: nobody walks over its rows once for each of them. */
async function bulk(store: Filled, url: string): Promise<Figure[]> {
  return withClients(url, 41, async ([large, ...small]) => {
    await large!.query('begin')
    await large!.query(
      `insert into ${store.schema}.events (version, category, stream_id, type, data)
       select n, 'bulk', 'one', 'Happened', '{}' from generate_series(0, 49999) n`,
    )
    for (const [n, client] of small.entries()) {
      await client.query('begin')
      await client.query(
        `select from ${store.schema}.append('small' || $1, 'one', '[{"type": "Happened", "data": {}}]')`,
        [n],
      )
    }
    const all = 'beside an open append of 50,000 and 40 small ones'
    return [
      atMost(`a look at the horizon, ${all}`, await look(store), 'ms', 100),
      atMost(`push to a category of its own, ${all}`, await push(store), 'ms', PUSH_MS),
    ]
  })
}

const look = ({ meow }: Filled) => least(() => meow.read({ category: 'c3' }, { limit: 1 }))

async function withClients<T>(
  url: string,
  count: number,
  use: (clients: pg.Client[]) => Promise<T>,
): Promise<T> {
  const clients = Array.from({ length: count }, () => new pg.Client({ connectionString: url }))
  try {
    await Promise.all(clients.map((client) => client.connect()))
    return await use(clients)
  } finally {
    await Promise.all(clients.map((client) => client.end()))
  }
}
