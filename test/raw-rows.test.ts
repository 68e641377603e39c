// @direct @long
// What a writer can insert by plain SQL, at the edges of every column's type, is read in every way there is, as it was
// written; what no reader could read is refused at the insert. A restored store may hold more: readers cope with it.
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { jsonText } from '../src/core/json-text.ts'
import type { Delivery, Meow, RecordedEvent } from '../src/index.ts'
import { defineCategory, handle } from '../src/index.ts'
import type { Message } from '../src/relay/index.ts'
import { relay } from '../src/relay/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { cli, parsed, startCli } from './support/cli.ts'
import { collect } from './support/collect.ts'
import { seeded } from './support/random.ts'
import { rejects } from './support/rejects.ts'
import { dropRoles, loginOf, statementsOf } from './support/roles.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { ask, look } from './support/studio.ts'
import { until } from './support/until.ts'

const random = seeded('raw rows')
const schema = uniqueName('raw')
const copySchema = uniqueName('copy')
const dir = mkdtempSync(join(tmpdir(), 'meowmx-raw-'))
const sql = await pgClient()
let meow: Meow
let writer: pg.Client
test.before(async () => {
  const [roles, grants] = statementsOf(schema)
  await sql.query(roles)
  meow = await openStore({ schema })
  await openStore({ schema: copySchema, listen: false })
  await sql.query(grants)
  writer = await pgClient({ connectionString: await loginOf(sql, `${schema}_writer`) })
})
test.after(async () => {
  await closeAll()
  const admin = await pgClient()
  await dropRoles(admin, schema)
  await closeAll()
  rmSync(dir, { recursive: true })
})
const patient = (what: string) => ({ what, timeoutMs: 120_000 })

interface Raw {
  id: string
  category: string
  streamId: string
  version: number
  type: string
  /** JSON, to the character. */
  data: string
  metadata: string
  recordedAt: string
}

// Edges of each column. `bad`: why it is refused.
interface Edge {
  text: string
  bad?: RegExp
}
const good = (...texts: string[]): Edge[] => texts.map((text) => ({ text }))
const bad = (why: RegExp, ...texts: string[]): Edge[] => texts.map((text) => ({ text, bad: why }))
const names: Edge[] = [
  ...good('a', '__proto__', 'constructor', 'toString', ' ', '%', '*', '>', 'a.b', 'a/b', '\\', `'";--`, '-'),
  ...good(
    '\u0001',
    '\n',
    '\r\n\t',
    '\u007f',
    '\u2028',
    '\u202e',
    '\ufeff',
    '\uffff',
    '\u0301',
    '🐈',
    '{}',
    'null',
  ),
  ...good('x'.repeat(255), 'é'.repeat(255), '🐈'.repeat(255)),
  ...bad(/1 to 255 characters/, '', 'x'.repeat(256), '🐈'.repeat(256)),
]
const types: Edge[] = [...names, ...good('T', 'a$', '\u0001$'), ...bad(/reserved/, '$', '$erased', '$timer')]
const deep = (levels: number) => `${'{"a":['.repeat(levels / 2)}1${']}'.repeat(levels / 2)}`
const values = [
  ...['null', 'true', '0', '-0', '""', '[]', '{}', ' [ ] ', '\t{ "a" :\r\n1 }\n', '[null,[],{}]'],
  ...[
    '1e400',
    '-1e400',
    '[1e400,null,{"n":-1e400}]',
    '1e-400',
    '9007199254740993',
    '123456789012345678901234567890',
  ],
  ...['1.7976931348623157e308', '5e-324', '0.1', '1E+2'],
  ...[
    '"\\u0000"',
    '{"\\u0000":"\\u0000"}',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '{"\\ud800":1}',
    '"\\ud83d\\udc08"',
  ],
  ...[
    '"\\/\\b\\f"',
    '"\u2028\u007f\ufeff"',
    '{"a":1,"a":2}',
    '{"__proto__":{"polluted":1},"constructor":{"prototype":1}}',
  ],
  ...[
    '{"toJSON":1,"then":2,"toString":3,"length":-1}',
    '{"":{"":0}}',
    '{"erased":true}',
    '{"known":true,"type":"$erased"}',
  ],
  ...[deep(2_000), deep(2_500), deep(6_000)],
]
const properties = [
  'correlationId',
  'causationId',
  'traceparent',
  'tracestate',
  'schemaVersion',
  'erased',
  'legacy',
]
const metadatas: Edge[] = [
  ...good(
    '{}',
    ' {}',
    '\n{ }\t',
    '{"a":1,"a":{"b":2}}',
    '{"__proto__":{"correlationId":"x"}}',
    '{"erased":true}',
  ),
  ...good('{"tombstone":true}', '{"schemaVersion":0}', '{"schemaVersion":1e400}', '{"schemaVersion":"2"}'),
  ...values.filter((text) => text.trim().startsWith('{')).map((text) => ({ text })),
  ...values.map((text) => ({ text: `{"correlationId":${text}}` })),
  ...Array.from({ length: 20 }, () => ({ text: `{"${random.pick(properties)}":${random.pick(values)}}` })),
  ...bad(/no JSON object/, ...values.filter((text) => !text.trim().startsWith('{'))),
]
const times: Edge[] = [
  ...good(
    '0001-01-01T00:00:00.000Z',
    '0099-12-31T23:59:59.999Z',
    '1969-12-31T23:59:59.999Z',
    '1970-01-01T00:00:00.000Z',
  ),
  ...good('2026-02-28T12:00:00.123Z', '9999-12-30T23:59:59.999Z'),
  ...bad(/recorded_at/, 'infinity', '-infinity', '0001-12-31 23:59:59+00 BC', '4713-01-01 00:00+00 BC'),
  ...bad(/recorded_at/, '9999-12-31 00:00+00', '275760-09-13 00:00:01+00', '294276-12-31 23:59:59+00'),
]
const ids = ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff']

async function insert(client: pg.Client, rows: readonly Raw[]): Promise<void> {
  const columns = (key: keyof Raw) => rows.map((row) => row[key])
  await client.query(
    `insert into ${schema}.events (id, category, stream_id, version, type, data, metadata, recorded_at)
     select id, category, stream_id, version, type, data::json, metadata::json, recorded_at::timestamptz
     from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[])
       as e (id, category, stream_id, version, type, data, metadata, recorded_at)`,
    (['id', 'category', 'streamId', 'version', 'type', 'data', 'metadata', 'recordedAt'] as const).map(
      columns,
    ),
  )
}

/** As everybody should see it; data and metadata as one text. */
interface Seen {
  id: string
  stream: string
  type: string
  data: string
  metadata: string
  at: number
}
const seen = ({
  id,
  category,
  streamId,
  version,
  type,
  data,
  metadata,
  recordedAt,
}: RecordedEvent): Seen => ({
  id,
  stream: `${category}/${streamId}@${version}`,
  type,
  data: jsonText(data),
  metadata: jsonText(metadata),
  at: new Date(recordedAt).getTime(),
})
const expected = (row: Raw): Seen =>
  seen({
    ...row,
    position: 0,
    data: JSON.parse(row.data),
    metadata: JSON.parse(row.metadata),
    recordedAt: new Date(row.recordedAt),
  })

/** `what` brought all of them, in this order; or, if `sorted`, in any. */
function same(events: readonly RecordedEvent[], rows: readonly Seen[], what: string, sorted = false): void {
  const all = events.map(seen)
  const order = (list: readonly Seen[]) => (sorted ? list.toSorted((a, b) => (a.id < b.id ? -1 : 1)) : list)
  const [got, want] = [order(all), order(rows)]
  assert.is(got.length, want.length, `${what}: how many`)
  for (const [i, one] of want.entries()) assert.equal(got[i], one, what)
}

test('the text of JSON is that of JSON.stringify, at any depth and with any number', () => {
  for (const text of [...values, ...metadatas.map(({ text }) => text)]) {
    const value = JSON.parse(text)
    const written = jsonText(value)
    assert.is(jsonText(JSON.parse(written)), written)
    if (text.includes('[{"a":[') || text.startsWith('{"a":[{"a"') || /1e400/.test(text)) continue
    for (const indent of [0, 2]) assert.is(jsonText(value, indent), JSON.stringify(value, null, indent))
  }
  assert.is(jsonText(JSON.parse(deep(6_000))), deep(6_000))
  assert.is(jsonText(JSON.parse(deep(100_000))), deep(100_000))
  assert.is(
    jsonText(JSON.parse('{"a":[1e400,null,{}],"b":-1e400}'), 1),
    '{\n "a": [\n  1e999,\n  null,\n  {}\n ],\n "b": -1e999\n}',
  )
  assert.is(
    jsonText({ at: new Date(0), n: JSON.parse('1e400'), none: undefined }),
    '{"at":"1970-01-01T00:00:00.000Z","n":1e999}',
  )
})

const rows: Raw[] = []
const categories = ['raw', '🐈'.repeat(255), '__proto__', '\u0001\n%.*>']
const versions = new Map<string, number>()
let refused = 0

/** A row; `edges` say what of it is not ordinary. */
function raw(edges: { [key in keyof Raw]?: Edge | undefined }): { row: Raw; bad: RegExp | undefined } {
  const text = (key: keyof Raw, usual: string) => edges[key]?.text ?? usual
  const [category, streamId] = [text('category', 'raw'), text('streamId', 's')]
  const row = {
    id: text('id', randomUUID()),
    category,
    streamId,
    version: versions.get(`${category}/${streamId}`) ?? 0,
    type: text('type', 'T'),
    data: text('data', '{"n":1}'),
    metadata: text('metadata', '{}'),
    recordedAt: text('recordedAt', '2026-01-01T00:00:00.000Z'),
  }
  return { row, bad: Object.values(edges).find((edge) => edge?.bad)?.bad }
}

test('as a writer: what every reader can read is let in, all else is one clear error', async () => {
  const columns = {
    category: [...good(...categories), ...names.filter(({ bad }) => bad)],
    streamId: names,
    type: types,
    data: good(...values),
    metadata: metadatas,
    recordedAt: times,
    id: good(...ids),
  }
  const every = Object.entries(columns)
  const fine = every.map(([key, edges]) => [key, edges.filter(({ bad }) => !bad)] as const)
  const most = Math.max(...fine.map(([, edges]) => edges.length))
  const chosen: { [key in keyof Raw]?: Edge }[] = [
    // Each edge once at least, with some of the others; each bad one by itself; then any together.
    ...Array.from({ length: most }, (_, n) =>
      Object.fromEntries(
        fine.flatMap(([key, edges]) => (key === 'id' && n > 1 ? [] : [[key, edges[n % edges.length]!]])),
      ),
    ),
    ...every.flatMap(([key, edges]) => edges.filter(({ bad }) => bad).map((edge) => ({ [key]: edge }))),
    ...Array.from({ length: 30 }, () =>
      Object.fromEntries(
        every.flatMap(([key, edges]) =>
          key !== 'id' && random.chance(0.6) ? [[key, random.pick(edges)]] : [],
        ),
      ),
    ),
  ]
  for (const edges of chosen) {
    const { row, bad } = raw(edges)
    const batch = random.chance(0.3) ? [raw({ streamId: { text: `before ${row.id}` } }).row, row] : [row]
    if (bad) {
      const error = (await rejects(insert(writer, batch), Error)) as pg.DatabaseError
      assert.is(error.code, '23514', error.message)
      if (Object.values(edges).filter((edge) => edge?.bad).length === 1) assert.match(error.message, bad)
      refused++
    } else {
      await insert(writer, batch)
      rows.push(...batch)
      for (const { category, streamId, version } of batch)
        versions.set(`${category}/${streamId}`, version + 1)
    }
  }
  const { row: ordinary } = raw({})
  await insert(writer, [ordinary])
  rows.push(ordinary)
  const next = ordinary.version + 1
  versions.set('raw/s', next)
  for (const [version, code] of [
    [-1, '23514'],
    [next - 1, '23505'],
    [next + 1, 'MW003'],
    [2_147_483_647, '23514'],
  ] as const) {
    const error = await rejects(insert(writer, [{ ...raw({}).row, version }]), Error)
    assert.is((error as pg.DatabaseError).code, code)
  }
  const { rows: counted } = await sql.query(`select count(*)::int as n from ${schema}.events`)
  assert.is(counted[0].n, rows.length)
  assert.ok(rows.length >= 80 && refused > 30, `${rows.length} rows, ${refused} refused`)
})

/** All ways to read all of the store; each is to bring these, in order. */
async function everyWay(wanted: readonly Seen[], all: string[]): Promise<void> {
  const selector = { category: all }
  const count = wanted.length
  const live = collect(meow.events(selector))
  await live.has(count, 120_000)
  live.subscription.unsubscribe()
  same(live.all, wanted, 'events')
  const pulled: RecordedEvent[] = []
  for await (const event of meow.iterate({}, { live: false })) pulled.push(event)
  same(pulled, wanted, 'iterate')
  same((await meow.read(selector, { limit: 10_000 })).events, wanted, 'read')
  same(
    (await meow.read({}, { limit: 10_000, direction: 'backward' })).events,
    wanted.toReversed(),
    'read backward',
  )
  await sql.query('begin')
  same((await meow.read({}, { limit: 10_000, client: sql })).events, wanted, 'read with a client')
  await sql.query('commit')

  const streams = [
    ...new Map(
      pulled.map(({ category, streamId }) => [`${category}/${streamId}`, { category, streamId }]),
    ).values(),
  ]
  const loaded: RecordedEvent[] = []
  for (const stream of streams) {
    const forward = await meow.load(stream)
    const backward = await meow.load(stream, { direction: 'backward' })
    assert.equal(
      forward.map(({ id }) => id),
      backward.map(({ id }) => id).toReversed(),
    )
    loaded.push(...forward)
  }
  same(loaded, wanted, 'load', true)

  // Deciders and aggregates fold the streams.
  for (const { category, streamId } of streams) {
    const own = wanted.filter(({ stream }) => stream.startsWith(`${category}/${streamId}@`))
    const decider = {
      category,
      initial: [] as string[],
      evolve: (ids: string[], { id }: RecordedEvent) => [...ids, id],
      decide: () => [],
    }
    assert.is((await meow.state(decider, streamId)).state.length, own.length)
    const watched = collect(meow.watch(decider, streamId))
    await watched.has(1, 120_000)
    assert.is(watched.all[0]!.version, own.length - 1)
    watched.subscription.unsubscribe()
    assert.equal(
      (await meow.decide(decider, streamId, undefined)).state,
      own.map(({ id }) => id),
    )
  }
  class Aggregate {
    static readonly category = 'raw'
    readonly recorded: RecordedEvent[]
    constructor(recorded: RecordedEvent[]) {
      this.recorded = recorded
    }
  }
  const own = wanted.filter(({ stream }) => stream.startsWith('raw/s@'))
  same(
    ((await meow.loadAggregate(Aggregate as never, 's')) as unknown as Aggregate).recorded,
    own,
    'aggregate',
  )

  // Of a zod category each event is known or not, and upcast however deep it is.
  const schemas = Object.fromEntries(
    [...new Set(wanted.map(({ type }) => type))]
      .filter((type) => !type.startsWith('$') && !['name', 'stream', 'then', '__proto__'].includes(type))
      .map((type) => [type, { schema: z.any(), version: 2, upcast: { 1: (old: unknown) => old } }]),
  )
  const Raw = defineCategory('raw', schemas)
  const typed = (await meow.read({ category: Raw }, { limit: 10_000 })).events as RecordedEvent[]
  same(
    typed,
    wanted.filter(({ stream }) => stream.startsWith('raw/')),
    'a zod category',
  )
  const studio = await startStudio(meow)
  const page = await look(studio)
  const recent = wanted.slice(-100).map(({ stream }) => stream)
  await until(() => page.events.length >= recent.length, patient('the tail'))
  assert.equal(
    page.events.map(({ category, streamId, version }) => `${category}/${streamId}@${version}`),
    recent,
  )
  page.leave()
  await studio.close()
  await subscriptionsOf(selector, wanted)
}

/** What handlers get; and what they append is never refused for what they were given. */
async function subscriptionsOf(selector: { category: string[] }, wanted: readonly Seen[]): Promise<void> {
  const effects = { category: uniqueName('effects'), streamId: 'e' }
  const ways: [
    string,
    (name: string, heard: (event: RecordedEvent) => Promise<unknown>) => { stop(): unknown },
  ][] = [
    [
      'process',
      (name, heard) =>
        meow.subscription(name, selector).process(heard, { concurrency: 4, retry: { maxAttempts: 1 } }),
    ],
    [
      'transactional',
      (name, heard) =>
        meow.subscription(name, selector).process(heard, { transactional: true, retry: { maxAttempts: 1 } }),
    ],
    [
      'deliveries',
      (name, heard) => {
        const handled = meow
          .subscription(name, selector)
          .deliveries()
          .subscribe({
            next: (delivery: Delivery<RecordedEvent>) => {
              heard(delivery.event).then(
                () => delivery.ack(),
                (error) => delivery.park(error),
              )
            },
          })
        return { stop: () => handled.unsubscribe() }
      },
    ],
    [
      'handle',
      (name, heard) => {
        const handled = meow
          .subscription(name, selector)
          .deliveries()
          .pipe(handle(heard))
          .subscribe({ error: () => {} })
        return { stop: () => handled.unsubscribe() }
      },
    ],
  ]
  for (const [what, start] of ways) {
    const name = uniqueName(what)
    const heard: RecordedEvent[] = []
    const running = start(name, async (event) => {
      if (what === 'process' || what === 'handle')
        await meow.append(effects, { type: 'Effect', data: event.id })
      heard.push(event)
    })
    const info = async () => (await meow.subscriptions()).find((one) => one.name === name)
    const done = async () => {
      const { lag, parked } = (await info()) ?? {}
      if (parked) assert.is(parked, 0, `${what}: ${(await meow.parked(name))[0]?.error}`)
      return lag === 0
    }
    await until(done, patient(`${what} to handle all`))
    await running.stop()
    same(heard, wanted, what, true)
  }
  const made = await meow.load(effects)
  assert.is(made.length, 2 * wanted.length)
  for (const { data, metadata } of made) assert.is(metadata.causationId, data)
  await parking(selector, wanted)
  await relaying(selector, wanted)
}

/** Every event fails once, is set aside, and comes again. */
async function parking(selector: { category: string[] }, wanted: readonly Seen[]): Promise<void> {
  const name = uniqueName('parking')
  const heard: RecordedEvent[] = []
  let isGood = false
  const worker = meow.subscription(name, selector).process(
    (event) => {
      // What a handler says of an event may be anything that the event holds.
      if (!isGood) throw new Error(`${event.type} ${String(event.metadata.correlationId)} \u0000 \ud800`)
      heard.push(event)
    },
    { retry: { maxAttempts: 1 } },
  )
  const parked = async () => (await meow.subscriptions()).find((one) => one.name === name)?.parked
  await until(async () => (await parked()) === wanted.length, patient('all to be parked'))
  same(
    (await meow.parked(name, { limit: 10_000 })).map(({ event }) => event),
    wanted,
    'parked',
    true,
  )
  isGood = true
  await meow.replayParked(name)
  await until(() => heard.length === wanted.length, patient('the replay'))
  await worker.stop()
  same(heard, wanted, 'replayed', true)
}

async function relaying(selector: { category: string[] }, wanted: readonly Seen[]): Promise<void> {
  const name = uniqueName('relay')
  const messages: Message[] = []
  const broker = {
    open: async () => {},
    close: async () => {},
    publish: async (message: Message) => void messages.push(message),
  }
  const publishing = relay(meow, name, { ...selector, broker })
  const done = async () => {
    const info = (await meow.subscriptions()).find((one) => one.name === name)
    if (info?.parked) assert.is(info.parked, 0, (await meow.parked(name))[0]!.error!)
    return info?.lag === 0
  }
  await until(done, patient('the relay'))
  await publishing.stop()
  const told = messages.map(({ body, headers }) => {
    for (const value of Object.values(headers)) assert.match(value, /^([!-~]([ -~]*[!-~])?)?$/)
    return {
      id: '',
      position: 0,
      category: decodeURIComponent(headers['Meowmx-Category']!),
      streamId: decodeURIComponent(headers['Meowmx-Stream']!),
      version: Number(headers['Meowmx-Version']),
      type: decodeURIComponent(headers['Meowmx-Type']!),
      data: JSON.parse(body),
      metadata: JSON.parse(headers['Meowmx-Metadata'] ?? '{}'),
      recordedAt: new Date(headers['Meowmx-Recorded-At']!),
    }
  })
  same(
    told.map((one, i) => ({ ...one, id: messages[i]!.id })),
    wanted,
    'relay',
    true,
  )
}

/** The command's and the studio's; they read the whole store. */
async function programs(wanted: readonly Seen[]): Promise<void> {
  const of = ['--schema', schema]
  const revived = (lines: any[]) => lines.map((line) => ({ ...line, recordedAt: new Date(line.recordedAt) }))
  const json = await cli(['read', '--json', ...of])
  assert.is(json.code, 0, json.stderr)
  same(revived(parsed(json.stdout)), wanted, 'read --json')
  const plain = await cli(['read', ...of])
  assert.equal([plain.code, plain.stdout.split('\n').length - 1], [0, wanted.length], plain.stderr)
  // One that is deep is 70 MB of it.
  const { position, id } = parsed(json.stdout).find(({ data }) => jsonText(data) === deep(6_000))
  const pretty = await cli(['read', '--pretty', '--after', `${position - 1}`, '--to', `${position}`, ...of])
  assert.is(pretty.code, 0, pretty.stderr)
  assert.ok(pretty.stdout.includes(id) && pretty.stdout.split('\n').length > 12_000)
  const exported = await cli(['export', ...of])
  assert.is(exported.code, 0, exported.stderr)
  // As it is stored: metadata that is no object, too.
  const isObject = (value: unknown) => jsonText(value).startsWith('{')
  const lines = revived(parsed(exported.stdout)).map((line) => ({
    ...line,
    metadata: isObject(line.metadata) ? line.metadata : {},
  }))
  same(lines, wanted, 'export')

  const name = uniqueName('worker')
  const worker = startCli(['worker', name, '--category', 'raw', '--once', '--exec', 'cat', ...of])
  worker.child.stdin!.end()
  const ran = await worker.ended
  assert.is(ran.code, 0, ran.stderr)
  const raws = wanted.filter(({ stream }) => stream.startsWith('raw/'))
  same(revived(parsed(ran.stdout)), raws, 'worker', true)

  const studio = await startStudio(meow)
  for (const { category, streamId, version } of revived(parsed(json.stdout)) as RecordedEvent[]) {
    if (version % 10 > 0) continue
    const query = new URLSearchParams({ category, streamId, version: String(version) })
    const answer = await ask(studio, `/api/stream?${query}`)
    assert.equal([answer.status, answer.json?.version], [200, version], answer.body)
  }
  await studio.close()
}

test('the command copies it to the character', async () => {
  const file = join(dir, 'events.ndjson')
  const mine = [
    '--types',
    [...new Set(rows.map(({ type }) => type))].filter((type) => /^[A-Za-z_]+$/.test(type)).join(','),
  ]
  const exported = await cli(['export', file, ...mine, '--category', 'raw', '--schema', schema])
  assert.is(exported.code, 0, exported.stderr)
  const imported = await cli(['import', file, '--renumber', '--schema', copySchema])
  assert.is(imported.code, 0, imported.stderr)
  const stored = async (of: string, types: string) =>
    (
      await sql.query(
        `select id, translate(data::text, E'\\r\\n', '  ') as data, trim(translate(metadata::text, E'\\r\\n', '  '), E' \\t') as metadata, recorded_at::text
         from ${of}.events where category = 'raw' and type ~ '^[A-Za-z_]+$' ${types} order by position`,
      )
    ).rows.map((row) => ({ ...row, data: row.data.trim() }))
  assert.equal(await stored(copySchema, ''), await stored(schema, ''))
})

const restored: Seen[] = []
test('an owner who restores may write more', async () => {
  // A store that was written to before, or by an owner who says that he restores it.
  const odd = [
    ...[
      'infinity',
      '-infinity',
      '294276-12-31 23:59:59+00',
      '4713-01-01 00:00+00 BC',
      '9999-12-31 23:59:59.9996+00',
    ].map((text) => ({ recordedAt: { text } })),
    ...['null', '[1]', '"\\ud800"', '1e400', deep(6_000).slice(5, -1)].map((text) => ({
      metadata: { text },
    })),
  ]
  await sql.query(`begin; set local meowmx.maintenance = 'on'`)
  for (const edges of odd) {
    const { row } = raw({ ...edges, streamId: { text: 'restored' } })
    await insert(sql, [row])
    versions.set('raw/restored', row.version + 1)
    const [{ at }] = (
      await sql.query(
        `select case when isfinite($1::timestamptz) then extract(epoch from $1::timestamptz) * 1000 else $2 end::float8 as at`,
        [row.recordedAt, row.recordedAt.startsWith('-') ? -8.64e15 : 8.64e15],
      )
    ).rows
    const metadata = row.metadata.startsWith('{') ? row.metadata : '{}'
    restored.push({
      ...expected({ ...row, metadata, recordedAt: '2026-01-01T00:00:00.000Z' }),
      at: Math.min(Math.round(at), 8.64e15),
    })
  }
  await sql.query('commit')
  assert.is(restored.length, odd.length)
})

test('all that was let in is read in every way, as it was written', async () => {
  await everyWay([...rows.map(expected), ...restored], [...new Set(rows.map(({ category }) => category))])
})

test('the command and the studio show it', async () => {
  const { events } = await meow.read({}, { limit: 10_000 })
  await programs(events.map(seen))
})

test.run()
