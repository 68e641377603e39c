// A page ends when its events get too large together: no event is lost or repeated, and small events take one query.
import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { filter, firstValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from '../src/core/validate.ts'
import { connectOptionsSchema } from '../src/database/connect-options.ts'
import { Database } from '../src/database/database.ts'
import { select } from '../src/events/selector.ts'
import type { RecordedEvent } from '../src/index.ts'
import { pagesOf } from '../src/read/budget.ts'
import { PageReader } from '../src/read/page-reader.ts'
import { collect } from './support/collect.ts'
import { random, seeded } from './support/random.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { theWay } from './support/ways.ts'

const category = uniqueName('bytes')
const END = Number.MAX_SAFE_INTEGER
let db: Database
let sql: pg.Client
let stored: RecordedEvent[]

test.before(async () => {
  const meow = await openStore()
  sql = await pgClient()
  const options = theWay({ connectionString: databaseUrl(), schema: storeSchema })
  db = new Database(parse(connectOptionsSchema, options, 'options'))
  const { int, pick } = random(seeded('pages by bytes').int(0, 4_294_967_295))
  const texts = [
    () => '',
    () => randomBytes(int(0, 300)).toString('hex'),
    () => randomBytes(int(1_000, 40_000)).toString('hex'),
    () => 'x'.repeat(int(1_000, 200_000)), // compressed very well
    () => '日本'.repeat(int(1, 10_000)), // more bytes than characters
  ]
  for (let i = 0; i < 200; i++) {
    const text = pick(texts)()
    const metadata = i % 20 === 0 ? { text } : {}
    const streamId = `s${i % 3}`
    await meow.append({ category, streamId }, { type: `T${i % 2}`, data: { text }, metadata })
  }
  stored = (await meow.read({ category }, { limit: 1_000 })).events
  assert.is(stored.length, 200)
})
test.after(async () => {
  await db.close()
  await closeAll()
})

const selectors = {
  'a category': [{ category }, () => true],
  'two categories': [{ category: [category, 'another'] }, () => true],
  'a type': [{ category, types: ['T1'] }, ({ type }: RecordedEvent) => type === 'T1'],
  'a stream': [{ category, streamId: 's1' }, ({ streamId }: RecordedEvent) => streamId === 's1'],
} as const

for (const [name, [selector, selects]] of Object.entries(selectors)) {
  for (const maxBytes of [1, 3_000, 50_000, 400_000, 3_000_000]) {
    test(`pages of ${name} with ${maxBytes} bytes at most, forward, backward and behind a look`, async () => {
      const expected = stored.filter(selects)
      const reader = new PageReader(db, select(selector), pagesOf(maxBytes))
      const last = stored.at(-1)!.position
      const sizes: number[] = []
      const check = ({ events, bytes }: { events: RecordedEvent[]; bytes: number }) => {
        sizes.push(events.length)
        assert.ok(bytes <= maxBytes + 300 * events.length || events.length === 1, `${bytes} bytes`)
        return events
      }
      const read: Record<string, RecordedEvent[]> = { forward: [], behind: [], backward: [] }
      for (let after = 0; after < last; ) {
        const page = await reader.forward(after, last, 1_000)
        read.forward!.push(...check(page))
        assert.ok(page.position > after)
        after = page.position
      }
      for (let after = 0; after < last; ) {
        const page = (await reader.fastPath(after, 1_000))(last)
        read.behind!.push(...check(page))
        assert.ok(page.position > after)
        after = page.position
      }
      for (let until = last; until > 0; ) {
        const page = await reader.backward(0, until, 1_000)
        read.backward!.unshift(...check(page).toReversed())
        until = page.position
      }
      for (const events of Object.values(read)) assert.equal(events, expected)
      if (maxBytes === 1) assert.is(Math.max(...sizes), 1)
      if (maxBytes === 3_000_000) assert.ok(Math.max(...sizes) > 10)
    })
  }
}

test('1,000 small events are one page, and one query', async () => {
  const small = uniqueName('small')
  await sql.query(
    `insert into ${storeSchema}.events (version, category, stream_id, type, data)
     select n, $1, 's', 'T', json_build_object('text', repeat('x', 1000)) from generate_series(0, 2499) as n`,
    [small],
  )
  const asked: unknown[][] = []
  const counting = Object.create(db, {
    page: {
      value: (...args: Parameters<Database['page']>) => {
        asked.push(args)
        return db.page(...args)
      },
    },
  }) as Database
  const reader = new PageReader(counting, select({ category: small }))
  const counts: number[] = []
  for (let after = 0; after < END; ) {
    const page = await reader.forward(after, END, 1_000)
    counts.push(page.events.length)
    after = page.position
  }
  assert.equal(counts, [1_000, 1_000, 500])
  assert.is(asked.length, 3)
  const statements = asked.map(([statement]) => (statement as { text: string }).text.includes('sum('))
  assert.equal(statements, [true, false, false], 'only the first page has its sizes added up')
})

test('a read returns less than its limit if that would be too large, and goes on from its position', async () => {
  const meow = await openStore({ maxBufferedBytes: 100_000 })
  for (const direction of ['forward', 'backward'] as const) {
    const read: RecordedEvent[] = []
    let pages = 0
    for (let at = direction === 'forward' ? 0 : END; ; pages++) {
      const range = direction === 'forward' ? { after: at } : { until: at }
      const { events, position, horizon } = await meow.read(
        { category },
        { ...range, direction, limit: 1_000 },
      )
      read.push(...events)
      at = position
      if (direction === 'forward' ? at >= horizon : at <= 0) break
    }
    assert.equal(direction === 'forward' ? read : read.toReversed(), stored)
    assert.ok(pages > 10)
  }
})

test('load returns all that was asked for, whatever the bound', async () => {
  const meow = await openStore({ maxBufferedBytes: 100_000 })
  const stream = { category, streamId: 's2' }
  const events = stored.filter(({ streamId }) => streamId === 's2')
  assert.equal(await meow.load(stream), events)
  assert.equal(await meow.load(stream, { direction: 'backward' }), events.toReversed())
  assert.equal(await meow.load(stream, { fromVersion: 3, toVersion: 40, limit: 30 }), events.slice(3, 33))
})

test('an event that is larger than the whole budget can be read in every way', async () => {
  const meow = await openStore({ maxBufferedBytes: 65_536 })
  const stream = { category: uniqueName('giant'), streamId: 's' }
  const text = randomBytes(500_000).toString('hex')
  const events = collect(meow.events({ category: stream.category }))
  const handled: RecordedEvent[] = []
  const worker = meow
    .subscription(uniqueName('giant'), { category: stream.category })
    .process((event) => void handled.push(event))
  const deliveries = collect(
    meow.subscription(uniqueName('giant'), { category: stream.category }).deliveries(),
    ({ ack }) => void ack(),
  )
  for (let i = 0; i < 3; i++) {
    await meow.append(stream, { type: 'Large', data: { text } })
    await meow.append(stream, { type: 'Small', data: { text: '' } })
  }
  const sizes = [1_000_000, 0, 1_000_000, 0, 1_000_000, 0]
  await events.has(6, 60_000)
  await deliveries.has(6, 60_000)
  await until(() => handled.length === 6, { timeoutMs: 60_000, what: 'all to be handled' })
  const pulled: RecordedEvent[] = []
  for await (const event of meow.iterate({ category: stream.category }, { live: false })) pulled.push(event)
  for (const seen of [events.all, handled, deliveries.all.map(({ event }) => event), pulled])
    assert.equal(
      seen.map(({ data }) => data.text.length),
      sizes,
    )
  await worker.stop()
})

test('deliveries that nobody acks are as many as fit; each ack makes room', async () => {
  const meow = await openStore({ maxBufferedBytes: 400_000 })
  const stream = { category: uniqueName('unacked'), streamId: 's' }
  const text = 'x'.repeat(30_000)
  for (let i = 0; i < 4; i++)
    await meow.append(
      stream,
      Array.from({ length: 5 }, () => ({ type: 'T', data: { text } })),
    )
  const subscription = meow.subscription(uniqueName('unacked'), { category: stream.category })
  const { all, has } = collect(subscription.deliveries())
  const { position } = (await meow.load(stream, { direction: 'backward', limit: 1 }))[0]!
  for (let acked = 0; acked < 20; acked++) {
    await has(Math.min(20, acked + 3))
    if (acked + 3 < 20) {
      const { inFlight } = await firstValueFrom(
        subscription.status$.pipe(filter(({ inFlight }) => inFlight >= 3)),
      )
      assert.is(inFlight, 3, 'a quarter of 400,000 bytes')
    }
    assert.is(all.length, Math.min(20, acked + 3))
    await all[acked]!.ack()
  }
  assert.is(all.at(-1)!.event.position, position)
})

test.run()
