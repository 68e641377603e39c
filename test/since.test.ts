// { since }: begin at the first event that was recorded at or after a moment; none of those is ever left out.
import { firstValueFrom, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const schema = uniqueName('since')
const meow = await openStore({ schema, pollIntervalMs: 100 })
const sql = await pgClient()
await sql.query(`set search_path = ${schema}`)
test.after(closeAll)

const category = 'timed'
const start = Date.parse('2026-01-31T14:00:00.000Z')
/** One event per second, 0.6 ms after the full second; some have times that are out of order. */
const COUNT = 2_000
await sql.query(
  `insert into events (recorded_at, version, category, stream_id, type, data)
   select $1::timestamptz + n * interval '1 s' + interval '0.6 ms' - (n % 10 = 0)::int * interval '30 s', 0, $2, 's' || n, 'T', to_json(n)
   from generate_series(0, $3::int - 1) as n`,
  [new Date(start).toISOString(), category, COUNT],
)
const { events } = await meow.read({ category }, { limit: 100_000 })
const moments = [
  ...[0, 1, 2, 99, 100, 101, 999, COUNT - 1].map((n) => events[n]!.recordedAt),
  ...[-1, 1, 500_500, 1_999_000, 3_000_000].map((ms) => new Date(start + ms)),
  new Date(-8.64e15),
  new Date(8.64e15),
]

/** The event from which everything must be delivered: the first one at or after the moment. */
const expected = (since: Date) => {
  const first = events.findIndex(({ recordedAt }) => recordedAt >= since)
  return first < 0 ? [] : events.slice(first)
}

test('events and iterate, to the horizon and live', async () => {
  for (const since of moments) {
    const all = meow.events({ category }, { from: { since }, live: false }).pipe(toArray())
    assert.equal(await firstValueFrom(all), expected(since), since.toJSON())
    const [first] = expected(since)
    if (first) assert.equal(await firstValueFrom(meow.events({ category }, { from: { since } })), first)
  }
  const since = new Date(start + 5_000)
  for await (const event of meow.iterate({ category }, { from: { since: since.toISOString() } })) {
    assert.equal(event, expected(since)[0])
    break
  }
})

test('after the last event: only what comes', async () => {
  const got: unknown[] = []
  const other = uniqueName('later')
  const watching = meow
    .events({ category: other }, { from: { since: new Date(Date.now() - 3_600_000) } })
    .subscribe(({ data }) => got.push(data))
  await meow.append({ category: other, streamId: 'a' }, { type: 'T', data: 'new' })
  await until(() => got.length === 1, { what: 'the new event' })
  watching.unsubscribe()
})

test('a new subscription begins there, an existing one does not; reset moves it there', async () => {
  const name = uniqueName('since')
  const position = async () => (await meow.subscriptions({ names: [name] }))[0]!.position
  const begin = async (since: Date | string) => {
    const worker = meow
      .subscription(name, { category: uniqueName('none'), types: ['none'], from: { since } })
      .process(() => {})
    await worker.ready.catch(() => {})
    await worker.stop()
  }
  for (const since of moments) {
    const [first] = expected(since)
    const handled: number[] = []
    const own = uniqueName('since')
    const worker = meow
      .subscription(own, { category, from: { since } })
      .process((event) => void handled.push(event.position))
    await meow.settled({ names: [own], timeoutMs: 60_000 })
    await worker.stop()
    assert.equal(
      handled,
      expected(since).map(({ position }) => position),
      since.toJSON(),
    )
    await meow.resetSubscription(own, 'start')
    await meow.resetSubscription(own, { since })
    const [found] = await meow.subscriptions({ names: [own] })
    if (first) assert.is(found!.position, first.position - 1)
    await meow.deleteSubscription(own)
  }
  await begin(moments[3]!)
  const before = await position()
  await begin(moments[0]!)
  assert.ok((await position()) >= before)
})

test('an append that is open may still commit such an event below: it is not left out', async () => {
  const other = uniqueName('open')
  await meow.use((db) =>
    db.withClient(async (client) => {
      await client.query('begin')
      const since = new Date()
      const [open] = (
        await meow.append({ category: other, streamId: 'a' }, { type: 'T', data: 1 }, { client })
      ).events
      await meow.append({ category: other, streamId: 'b' }, { type: 'T', data: 2 })
      const worker = meow.subscription(other, { category: other, from: { since } }).process(() => {})
      await worker.ready
      await worker.stop()
      await meow.resetSubscription(other, { since })
      await client.query('commit')
      const [found] = await meow.subscriptions({ names: [other] })
      assert.ok(found!.position < open!.position)
    }),
  )
})

test('an invalid moment is refused, with its path', async () => {
  for (const since of [new Date(Number.NaN), 'yesterday', '', 5, null, undefined])
    for (const [call, path] of [
      [() => firstValueFrom(meow.events({}, { from: { since } as never })), 'options.from'],
      [() => meow.resetSubscription('any', { since } as never), 'to'],
      [async () => meow.subscription('any', { from: { since } as never }), 'options.from'],
    ] as const) {
      const error = await rejects((async () => call())(), ValidationError)
      assert.ok(error.path.startsWith(path), error.path)
      assert.match(error.message, 'since')
    }
  const since = new Date(start)
  const from = { since }
  const later = meow.events({ category }, { from, live: false })
  since.setTime(0)
  assert.is(
    ((await firstValueFrom(later)) as { position: number }).position,
    expected(new Date(start))[0]!.position,
  )
})

test.run()
