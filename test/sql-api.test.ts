// Every other language: the append function, plain INSERT, COPY, MERGE and LISTEN, with the guarantees of the library.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/index.ts'
import { copyIn } from './support/copy.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema as schema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ pollIntervalMs: 600_000 })
const sql = await pgClient()
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

interface Row {
  position: string
  recorded_at: Date
  id: string
  version: number
  category: string
  stream_id: string
  type: string
  data: unknown
  metadata: Record<string, unknown>
}

async function append(
  category: string,
  streamId: string,
  events: unknown,
  expected?: string,
): Promise<Row[]> {
  const { rows } = await sql.query<Row>(
    `select * from ${schema}.append($1, $2, $3${expected === undefined ? '' : ', $4'})`,
    [category, streamId, JSON.stringify(events), ...(expected === undefined ? [] : [expected])],
  )
  return rows
}

async function refused(code: string, promise: Promise<unknown>): Promise<string> {
  const error = (await rejects(promise, Error)) as pg.DatabaseError
  assert.is(error.code, code, error.message)
  return error.message
}

/** Without the time: pg cuts the microseconds off, the library rounds them. */
type Untimed = Omit<RecordedEvent, 'recordedAt'>
const untimed = ({ recordedAt, ...event }: RecordedEvent): Untimed => {
  assert.instance(recordedAt, Date)
  return event
}
const recorded = (row: Row): Untimed => ({
  id: row.id,
  tags: [],
  category: row.category,
  streamId: row.stream_id,
  version: row.version,
  position: Number(row.position),
  type: row.type,
  data: row.data,
  metadata: row.metadata,
})

/** What arrives on these channels, in order: `[channel, payload]`. */
async function listen(...channels: string[]) {
  const client = await pgClient()
  const heard: [string, string][] = []
  client.on('notification', ({ channel, payload }) => heard.push([channel, payload!]))
  for (const channel of channels) await client.query(`listen ${client.escapeIdentifier(channel)}`)
  return {
    /** All that was notified up to now, which then is forgotten. */
    async take(): Promise<[string, string][]> {
      // Notifications are in the order of commits: once ours is there, all before it are.
      const end = uniqueName('end')
      await client.query(`listen ${end}`)
      await sql.query(`notify ${end}`)
      await until(() => heard.some(([channel]) => channel === end), { what: 'the last notification' })
      await client.query(`unlisten ${end}`)
      return heard.splice(0).filter(([channel]) => !channel.startsWith('end_'))
    },
  }
}

test('append returns the events as recorded', async () => {
  const category = uniqueName('api')
  const one = await append(category, 'a', { type: 'A', data: { price: 9 } })
  const id = crypto.randomUUID()
  const more = await append(category, 'a', [
    { type: 'B', data: null, metadata: { by: 'me' } },
    { type: 'C', data: ['x', { y: 1 }], id: id.toUpperCase() },
    { type: 'D' },
  ])
  assert.equal(
    [...one, ...more].map(({ version, type, data, metadata }) => [version, type, data, metadata]),
    [
      [0, 'A', { price: 9 }, {}],
      [1, 'B', null, { by: 'me' }],
      [2, 'C', ['x', { y: 1 }], {}],
      [3, 'D', null, {}],
    ],
  )
  assert.is(more[1]!.id, id)
  const events = [...one, ...more].map(recorded)
  assert.equal((await meow.load({ category, streamId: 'a' })).map(untimed), events)
  assert.equal((await meow.read({ category })).events.map(untimed), events)
  assert.equal(await append(category, 'a', []), [])
})

test('append in every mode: MW006 is a conflict', async () => {
  for (const [expected, empty, two] of [
    ['any', true, true],
    ['no-stream', true, false],
    ['stream-exists', false, true],
    ['-1', true, false],
    ['0', false, false],
    ['1', false, true],
    ['2', false, false],
  ] as const) {
    for (const existing of [0, 2]) {
      const category = uniqueName('modes')
      if (existing) await append(category, 'a', [{ type: 'T' }, { type: 'T' }])
      const appending = append(category, 'a', { type: 'T' }, expected)
      if (existing ? two : empty) {
        assert.is((await appending)[0]!.version, existing)
      } else {
        const message = await refused('MW006', appending)
        for (const value of [category, expected, String(existing - 1)])
          assert.ok(message.includes(value), message)
        assert.is((await meow.read({ category })).events.length, existing)
      }
    }
  }
})

test('append again with the same ids: the first events; otherwise MW007', async () => {
  const category = uniqueName('ids')
  const [a, b] = [crypto.randomUUID(), crypto.randomUUID()]
  const events = [
    { type: 'T', data: { x: 1, y: [2] }, id: a },
    { type: 'U', data: 1, id: b },
  ]
  const first = await append(category, 's', events, 'no-stream')
  await append(category, 's', { type: 'Later' })
  const [one, two] = events
  assert.equal(await append(category, 's', events, 'no-stream'), first)
  assert.equal(await append(category, 's', [{ ...one, data: { y: [2], x: 1 } }, two], '99'), first)
  assert.equal(await append(category, 's', { ...two, metadata: { other: 1 } }), [first[1]])
  for (const [stream, wrong] of [
    ['t', events],
    ['s', [{ ...one, data: { x: 1, y: [3] } }, two]],
    ['s', { ...two, type: 'V' }],
    ['s', [one, { type: 'New' }]],
  ] as const) {
    assert.match(await refused('MW007', append(category, stream, wrong)), /[0-9a-f-]{36}/)
  }
  assert.equal(
    (await meow.append({ category, streamId: 's' }, events)).events.map(untimed),
    first.map(recorded),
  )
  assert.is((await meow.read({ category })).events.length, 3)
})

test('append refuses nonsense, and writes nothing', async () => {
  const category = uniqueName('nonsense')
  await refused('22023', append(category, 'a', { type: 'T' }, 'sometimes'))
  await refused('22P02', append(category, 'a', { type: 'T', id: 'x' }))
  await refused('23502', append(category, 'a', { data: 1 }))
  await refused('23514', append(category, 'a', { type: '' }))
  await refused('23514', append(category, '', { type: 'T' }))
  await refused('23514', append('', 'a', { type: 'T' }))
  await refused('23514', append('x'.repeat(256), 'a', { type: 'T' }))
  await refused('23502', append(category, 'a', 'text'))
  await refused('23502', append(category, 'a', [{ type: 'T' }, 7]))
  await refused('22P02', sql.query(`select ${schema}.append($1, 'a', '{bad')`, [category]))
  const id = crypto.randomUUID()
  await refused(
    '22023',
    append(category, 'a', [
      { type: 'T', id },
      { type: 'T', id },
    ]),
  )
  assert.equal((await meow.read({ category })).events, [])
})

test('append by many at once: dense versions, and no error', async () => {
  const category = uniqueName('many')
  const clients = await Promise.all(Array.from({ length: 8 }, () => pgClient()))
  await Promise.all(
    clients.map(async (client) => {
      for (let i = 0; i < 25; i++) {
        const events = i % 2 ? '{"type": "T"}' : '[{"type": "T"}, {"type": "T"}]'
        await client.query(`select ${schema}.append($1, 'a', $2)`, [category, events])
      }
    }),
  )
  const { events } = await meow.read({ category })
  assert.equal(
    events.map(({ version }) => version),
    Array.from({ length: 8 * 38 }, (_, i) => i),
  )
})

test('INSERT, COPY and MERGE are read, pushed and continued like any append', async () => {
  const category = uniqueName('raw')
  const seen: RecordedEvent[] = []
  const subscription = meow.events({ category }).subscribe((event) => seen.push(event))
  const { rows } = await sql.query<Row>(
    `insert into ${schema}.events (version, category, stream_id, type, data)
     select v, $1, 'insert', 'T', to_json(v) from generate_series(0, 2) as v returning *`,
    [category],
  )
  await until(() => seen.length === 3, { what: 'pushed rows of INSERT' })
  await copyIn(
    sql,
    `copy ${schema}.events (version, category, stream_id, type, data, metadata) from stdin`,
    `0\t${category}\tcopy\tT\t{"a": 1}\t{}\n1\t${category}\tcopy\tT\t2\t{"m": 1}\n`,
  )
  await until(() => seen.length === 5, { what: 'pushed rows of COPY' })
  const { rows: server } = await sql.query('show server_version_num')
  const merges = Number(server[0].server_version_num) >= 150_000 ? 2 : 0
  if (merges) {
    await sql.query(
      `merge into ${schema}.events as e using (values (0), (1)) as new (v)
       on e.category = '${category}' and e.stream_id = 'merge' and e.version = new.v
       when not matched then insert (version, category, stream_id, type, data)
         values (new.v, '${category}', 'merge', 'T', to_json(new.v))`,
    )
    await until(() => seen.length === 7, { what: 'pushed rows of MERGE' })
  }
  subscription.unsubscribe()
  assert.equal(seen.slice(0, 3).map(untimed), rows.map(recorded))
  assert.equal(seen[3]!.data, { a: 1 })
  assert.equal(seen[4]!.metadata, { m: 1 })
  assert.equal((await meow.read({ category })).events, seen)
  const stream = { category, streamId: 'insert' }
  assert.is((await meow.append(stream, { type: 'T', data: 3 }, { expectedVersion: 2 })).version, 3)
  const { id, type, data } = seen[4]!
  const again = await meow.append({ category, streamId: 'copy' }, { id, type, data })
  assert.equal(again, { events: [seen[4]], version: 1, position: seen[4]!.position, deduplicated: true })
  assert.is((await meow.categories()).find((one) => one.category === category)!.events, 6 + merges)
})

test('INSERT … ON CONFLICT DO NOTHING of an existing event sends no notification', async () => {
  const category = uniqueName('conflict')
  await append(category, 'a', { type: 'T' })
  const listener = await listen(`${schema}.${category}`, schema)
  const { rowCount } = await sql.query(
    `insert into ${schema}.events (version, category, stream_id, type, data) values (0, $1, 'a', 'T', '1')
     on conflict do nothing`,
    [category],
  )
  assert.is(rowCount, 0)
  assert.equal(await listener.take(), [])
})

test('one notification a category and statement, with its highest position; and one for the store', async () => {
  const [a, b, silent] = [uniqueName('a'), uniqueName('b'), uniqueName('c')]
  const listener = await listen(`${schema}.${a}`, `${schema}.${b}`, `${schema}.${silent}`, schema)
  const byLibrary = await meow.append(
    { category: a, streamId: 's' },
    [1, 2, 3].map((data) => ({ type: 'T', data })),
  )
  assert.equal(await listener.take(), [
    [`${schema}.${a}`, String(byLibrary.position)],
    [schema, String(byLibrary.position)],
  ])

  const byFunction = await append(b, 's', [{ type: 'T' }, { type: 'T' }])
  assert.equal(await listener.take(), [
    [`${schema}.${b}`, byFunction[1]!.position],
    [schema, byFunction[1]!.position],
  ])

  // A batch, and a group: several categories in one statement.
  const results = await meow.appendAll([
    { stream: { category: b, streamId: 'g' }, events: { type: 'T', data: 1 } },
    { stream: { category: a, streamId: 'g' }, events: { type: 'T', data: 1 } },
    { stream: { category: b, streamId: 'h' }, events: { type: 'T', data: 1 } },
  ])
  const highest = String(results[2]!.position)
  const byName = ([x]: [string, string], [y]: [string, string]) => (x < y ? -1 : 1)
  assert.equal(
    (await listener.take()).sort(byName),
    [
      [`${schema}.${a}`, String(results[1]!.position)],
      [`${schema}.${b}`, highest],
      [schema, highest],
    ].sort(byName as never),
  )

  const { rows } = await sql.query<Row>(
    `insert into ${schema}.events (version, category, stream_id, type, data)
     select 0, case when n % 2 = 0 then $1 else $2 end, 'raw ' || n, 'T', '1' from generate_series(1, 9) as n returning *`,
    [a, b],
  )
  const last = (category: string) => rows.findLast((row) => row.category === category)!.position
  assert.equal(
    (await listener.take()).sort(byName),
    [
      [`${schema}.${a}`, last(a)],
      [`${schema}.${b}`, last(b)],
      [schema, rows.at(-1)!.position],
    ].sort(byName as never),
  )

  // Not before the commit, and never after a rollback.
  await sql.query('begin')
  await append(a, 's', { type: 'T' })
  await append(a, 's', { type: 'T' })
  await sql.query('rollback')
  assert.equal(await listener.take(), [])
})

test('a name too long for a channel is heard by its md5; channel() tells it', async () => {
  const { rows: bytes } = await sql.query(`select octet_length($1)::int as n`, [`${schema}.`])
  const fits = 'x'.repeat(63 - bytes[0].n)
  for (const [category, channel] of [
    ['order', `${schema}.order`],
    [fits, `${schema}.${fits}`],
    [`${fits}y`, undefined],
    ['ü'.repeat(40), undefined],
    ['x'.repeat(255), undefined],
    ['🐈'.repeat(255), undefined],
    ['a"b\'c\\', `${schema}.a"b'c\\`],
  ] as const) {
    const { rows } = await sql.query(`select ${schema}.channel($1), md5($1) as md5`, [category])
    const expected = channel ?? `${schema}.#${rows[0].md5}`
    assert.is(rows[0].channel, expected)
    assert.ok(Buffer.byteLength(expected) <= 63)
    const listener = await listen(expected)
    const { position } = await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1 })
    assert.equal(await listener.take(), [[expected, String(position)]])
  }
  const { rows } = await sql.query(`select ${schema}.channel()`)
  assert.is(rows[0].channel, schema)
})

test('the default schema has the channels that the documentation names', async () => {
  const { rows } = await sql.query(`
    select ${schema}.channel_of('meowmx', 'order') as one, ${schema}.channel_of('meowmx', null) as store,
           ${schema}.channel_of('meowmx', repeat('x', 57)) as long, md5(repeat('x', 57)) as md5`)
  assert.equal(
    [rows[0].one, rows[0].store, rows[0].long],
    ['meowmx.order', 'meowmx', `meowmx.#${rows[0].md5}`],
  )
})

test('horizon() tells other languages up to where they may read', async () => {
  const category = uniqueName('horizon')
  const [first] = await append(category, 'a', { type: 'T' })
  const horizon = async (...of: string[]) => {
    const args = of.map((_, i) => `$${i + 1}`).join(', ')
    const { rows } = await reader.query(`select ${schema}.horizon(${args}) as it`, of)
    return Number(rows[0].it)
  }
  const reader = await pgClient()
  const before = await horizon()
  assert.ok(before >= Number(first!.position))
  await sql.query('begin')
  const [mine] = await append(category, 'a', { type: 'T' })
  const [free] = await meow
    .append({ category: uniqueName('free'), streamId: 'a' }, { type: 'T', data: 1 })
    .then((r) => r.events)
  assert.is(await horizon(category), before)
  assert.is(await horizon(), before)
  assert.is(await horizon(category, free!.category), before)
  assert.is(await horizon(free!.category), free!.position)
  await sql.query('commit')
  assert.ok((await horizon(category)) >= Number(mine!.position))
})

test.run()
