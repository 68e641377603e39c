import pg from 'pg'
import type { Figure } from '../report.ts'
import { atMost, figure } from '../report.ts'
import type { Filled } from './measure.ts'
import { least, push } from './measure.ts'

const PUSH_MS = 500

/** Other activity on the same server must not make readers slow: each kind is started, measured and ended. */
export const crowds: readonly ((store: Filled, url: string) => AsyncGenerator<Figure>)[] = [
  alone,
  (store, url) => strangers(store, url, 10_000),
  (store, url) => strangers(store, url, 16_000),
  transactions,
  bulk,
]

async function* alone(store: Filled): AsyncGenerator<Figure> {
  yield atMost('push, from append to observer, with nobody else', await push(store), 'ms', PUSH_MS)
}

/**
 * Advisory locks that have nothing to do with us. Fetching the horizon is linear in their number, near the time of reading
 * pg_locks itself.
 */
async function* strangers(store: Filled, url: string, count: number): AsyncGenerator<Figure> {
  const { clients, end } = await open(url, 1)
  try {
    const [client] = clients
    await client!.query('select pg_advisory_lock(7, i) from generate_series(1, $1) i', [count])
    const { meow, sql } = store
    const all = `beside ${count.toLocaleString('en-US')} advisory locks of a stranger`
    const locks = await least(() => sql.query('select count(*) from pg_locks'))
    const bound = Math.max(count / 500, 2 * locks)
    yield figure(`pg_locks itself, ${all}`, locks, 'ms')
    yield atMost(`a look at the horizon (read of one event), ${all}`, await look(store), 'ms', bound)
    yield atMost(`stallers, ${all}`, await least(() => meow.stallers()), 'ms', 100 + bound)
    yield atMost(`push, ${all}`, await push(store), 'ms', PUSH_MS)
  } finally {
    await end()
  }
}

/** 200 open transactions that have appended to 15 categories each. */
async function* transactions(store: Filled, url: string): AsyncGenerator<Figure> {
  const { clients, end } = await open(url, 200)
  try {
    const append = `select count(*) from generate_series(1, 15) i,
      lateral ${store.schema}.append('open' || $1 || '-' || i, 'one', '[{"type": "Happened", "data": {}}]')`
    for (const [n, client] of clients.entries()) {
      await client.query('begin')
      await client.query(append, [n])
    }
    const all = 'beside 200 open transactions of 15 categories each'
    yield atMost(`a look at the horizon, ${all}`, await look(store), 'ms', 50)
    yield atMost(`stallers, ${all}`, await least(() => store.meow.stallers()), 'ms', 1_000)
    yield atMost(`push to a category of its own, ${all}`, await push(store), 'ms', PUSH_MS)
  } finally {
    await end()
  }
}

/** A large open append, and small ones that were announced after it: its rows are not read once for each of them. */
async function* bulk(store: Filled, url: string): AsyncGenerator<Figure> {
  const { clients, end } = await open(url, 41)
  try {
    const [large, ...small] = clients
    await large!.query('begin')
    // By the append function, which announces its category alone; an INSERT would announce all of them.
    await large!.query(
      `select from ${store.schema}.append('bulk', 'one', (
         select json_agg(json_build_object('type', 'Happened', 'data', n)) from generate_series(1, 50000) n))`,
    )
    for (const [n, client] of small.entries()) {
      await client.query('begin')
      await client.query(
        `select from ${store.schema}.append('small' || $1, 'one', '[{"type": "Happened", "data": {}}]')`,
        [n],
      )
    }
    const all = 'beside an open append of 50,000 and 40 small ones'
    yield atMost(`a look at the horizon, ${all}`, await look(store), 'ms', 100)
    yield atMost(`push to a category of its own, ${all}`, await push(store), 'ms', PUSH_MS)
  } finally {
    await end()
  }
}

const look = ({ meow }: Filled) => least(() => meow.read({ category: 'c3' }, { limit: 1 }))

async function open(url: string, count: number): Promise<{ clients: pg.Client[]; end(): Promise<unknown> }> {
  const clients = Array.from({ length: count }, () => new pg.Client({ connectionString: url }))
  await Promise.all(clients.map((client) => client.connect()))
  return { clients, end: () => Promise.all(clients.map((client) => client.end())) }
}
