import { randomUUID } from 'node:crypto'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'
import { BARE, data, INSERT_BARE } from './setting.ts'
import { speedOf } from './statistics.ts'

/** Clients at once, and how near to pgbench we want to be. */
export const CLIENTS = [
  [1, 0.7],
  [8, 1],
  [32, 1.5],
  [128, 2],
] as const

/** One event a call, to a new stream each, against single-row inserts by pgbench with as many clients. */
export async function append(setting: Setting): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const [clients, goal] of CLIENTS) {
    const bare = await setting.database()
    await bare.query(BARE)
    const limit = await bare.pgbench(INSERT_BARE, clients)
    const meow = await (await setting.database()).store()
    const speed = await speedOf({ clients, seconds: setting.seconds }, () =>
      meow.append(
        { category: 'order', streamId: randomUUID() },
        { type: 'Evt', data },
        { expectedVersion: 'no-stream' },
      ),
    )
    const what = `append, 1 event a call, ${clients} concurrent`
    samples.push({ what, unit: '/s', ours: speed.rate, limit, goal })
    samples.push({ what: `${what}: p50`, unit: 'ms', ours: speed.p50, less: true })
    samples.push({ what: `${what}: p99`, unit: 'ms', ours: speed.p99, less: true })
  }
  return samples
}

/** 1,000 events a call, against an unnest insert into the same columns and indexes. */
export async function bulk(setting: Setting): Promise<Sample[]> {
  const SIZE = 1_000
  const bare = await setting.database()
  await bare.query(`create table bare (
    position bigint generated always as identity primary key, recorded_at timestamptz not null default clock_timestamp(),
    id uuid not null unique default gen_random_uuid(), version int not null, category text not null, stream_id text not null,
    type text not null, data json not null, metadata json not null default '{}', unique (category, stream_id, version))`)
  await bare.query('create index on bare (category, position)')
  const pool = bare.pool(1)
  const texts = Array.from({ length: SIZE }, () => JSON.stringify(data))
  const types = texts.map(() => 'Evt')
  const insert = {
    name: 'bulk',
    text: `insert into bare (version, category, stream_id, type, data)
           select n - 1, 'order', $1, t, d::json from unnest($2::text[], $3::text[]) with ordinality as u (t, d, n)`,
  }
  const one = { clients: 1, seconds: setting.seconds }
  const limit = await speedOf(one, () => pool.query({ ...insert, values: [randomUUID(), types, texts] }))
  const meow = await (await setting.database()).store()
  const events = texts.map(() => ({ type: 'Evt', data }))
  const ours = await speedOf(one, () => meow.append({ category: 'order', streamId: randomUUID() }, events))
  return [
    {
      what: 'append, 1,000 events a call',
      unit: '/s',
      ours: ours.rate * SIZE,
      limit: limit.rate * SIZE,
      goal: 0.7,
    },
  ]
}

/** In the callers' own transactions, against the same transactions with a bare insert and no trigger. */
export async function transactions(setting: Setting): Promise<Sample[]> {
  const clients = 32
  const inTransaction = async (
    place: Awaited<ReturnType<Setting['database']>>,
    body: (client: any) => Promise<unknown>,
  ) => {
    const pool = place.pool(clients)
    const connections = await Promise.all(Array.from({ length: clients }, () => pool.connect()))
    try {
      return await speedOf({ clients, seconds: setting.seconds }, async (n) => {
        const client = connections[n]!
        await client.query('begin')
        await body(client)
        await client.query('commit')
      })
    } finally {
      for (const client of connections) client.release()
    }
  }
  const bare = await setting.database()
  await bare.query(BARE)
  const insert = {
    name: 'one',
    text: `insert into bare (stream, version, type, data) values ($1, 0, 'Evt', $2)`,
  }
  const limit = await inTransaction(bare, (client) =>
    client.query({ ...insert, values: [randomUUID(), JSON.stringify(data)] }),
  )
  const place = await setting.database()
  const meow = await place.store()
  const ours = await inTransaction(place, (client) =>
    meow.append(
      { category: 'order', streamId: randomUUID() },
      { type: 'Evt', data },
      { client, expectedVersion: 'no-stream' },
    ),
  )
  return [
    {
      what: `append in ${clients} callers' own transactions`,
      unit: '/s',
      ours: ours.rate,
      limit: limit.rate,
      goal: 0.6,
    },
  ]
}
