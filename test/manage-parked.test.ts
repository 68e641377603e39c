// parked() lists the parked events, in order; replayParked() puts them back.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParkedEvent, RecordedEvent } from '../src/index.ts'
import { SubscriptionNotFoundError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import type { SqlExecutor } from './support/sql-executor.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ listen: false })
test.after(closeAll)

/** A subscription of a category of its own, with an executor, and streams … c, b, a of `counts` events each, in this order. */
async function setUp(
  counts: number[],
  { types = null, partitions = 1 }: { types?: string[] | null; partitions?: number } = {},
): Promise<{ name: string; category: string; executor: SqlExecutor; streams: RecordedEvent[][] }> {
  const [name, category] = [uniqueName('parking'), uniqueName('parking')]
  const streams: RecordedEvent[][] = []
  for (const [i, count] of counts.entries()) {
    const all = Array.from({ length: count }, (_, n) => ({ type: n % 2 ? 'Odd' : 'Even', data: { n } }))
    const streamId = String.fromCharCode(97 + counts.length - 1 - i)
    streams.push((await meow.append({ category, streamId }, all, { expectedVersion: 'no-stream' })).events)
  }
  await createSubscription(name, { categories: [category], types, partitions })
  return { name, category, executor: await sqlExecutor(name), streams }
}

const events = (parked: ParkedEvent[]) => parked.map(({ event }) => event)

test('nothing is parked, then the event that failed and its followers', async () => {
  const { name, executor, streams } = await setUp([4, 2])
  assert.equal(await meow.parked(name), [])
  const [a] = streams as [RecordedEvent[]]
  await executor.park(a[1]!, { attempts: 5, error: 'Error: boom\n    at handler' })
  const { rows } = await executor.client.query(
    'select parked_at from parked_events where subscription = $1',
    [name],
  )
  const parkedAt = rows[0].parked_at as Date
  assert.equal(await meow.parked(name), [
    { event: a[1]!, attempts: 5, error: 'Error: boom\n    at handler', parkedAt },
    { event: a[2]!, attempts: 0, error: null, parkedAt },
    { event: a[3]!, attempts: 0, error: null, parkedAt },
  ])
  await executor.park(a[1]!, { attempts: 6, error: '' })
  assert.equal(
    (await meow.parked(name)).map(({ attempts, error }) => [attempts, error]),
    [
      [6, null],
      [0, null],
      [0, null],
    ],
  )
})

test('streams in the order in which they were blocked, the limit counts events', async () => {
  const { name, executor, streams } = await setUp([3, 3, 3])
  const [c, b, a] = streams as [RecordedEvent[], RecordedEvent[], RecordedEvent[]]
  // Ordered by the position where they are blocked, not by time or name.
  for (const event of [a[0]!, c[2]!, b[1]!]) await executor.park(event)
  const all = [c[2]!, b[1]!, b[2]!, a[0]!, a[1]!, a[2]!]
  assert.equal(events(await meow.parked(name)), all)
  for (const limit of [1, 2, 3, 5, 6, 100_000]) {
    assert.equal(events(await meow.parked(name, { limit })), all.slice(0, limit))
  }
})

test('100 unless told otherwise', async () => {
  const { name, executor, streams } = await setUp([101])
  await executor.park(streams[0]![0]!)
  assert.equal(events(await meow.parked(name)), streams[0]!.slice(0, 100))
  assert.is((await meow.parked(name, { limit: 200 })).length, 101)
})

test('only the types that the subscription selects, only what is committed', async () => {
  const { name, category, executor, streams } = await setUp([6], { types: ['Even'] })
  const [a] = streams as [RecordedEvent[]]
  await executor.park(a[2]!)
  assert.equal(events(await meow.parked(name)), [a[2]!, a[4]!])
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category, streamId: 'a' }, { type: 'Even', data: 1 }, { client })
  assert.equal(events(await meow.parked(name)), [a[2]!, a[4]!])
  await client.query('commit')
  assert.is((await meow.parked(name)).length, 3)
})

test('a stream of this name in another category is another stream', async () => {
  const { name, executor, streams } = await setUp([2])
  await meow.append({ category: uniqueName('parking'), streamId: 'a' }, { type: 'Even', data: 1 })
  await executor.park(streams[0]![0]!)
  assert.equal(events(await meow.parked(name)), streams[0]!)
})

test('while it is replayed a stream is listed from where it stands, and no longer once it is through', async () => {
  const { name, category, executor, streams } = await setUp([3])
  const [a] = streams as [RecordedEvent[]]
  await executor.park(a[0]!, { attempts: 5 })
  await meow.replayParked(name)
  const listed = async () =>
    (await meow.parked(name)).map(({ event, attempts, error }) => [event.version, attempts, error])
  assert.equal(await listed(), [
    [0, 0, 'Error: no'],
    [1, 0, null],
    [2, 0, null],
  ])
  const move = (position: number | null) =>
    executor.client.query('select replayed($1, 0, $2, $3, $4, $5)', [
      name,
      executor.epochs.get(0),
      category,
      'a',
      position,
    ])
  await move(a[0]!.position + 1)
  assert.equal(await listed(), [
    [1, 0, null],
    [2, 0, null],
  ])
  await move(a[2]!.position + 1)
  assert.equal(await listed(), [])
  await move(null)
  assert.equal(await listed(), [])
})

test('replayParked puts back all streams or one, wakes the executors, and counts the events', async () => {
  const { name, executor, streams } = await setUp([3, 2, 4])
  for (const stream of streams) await executor.park(stream[1]!)
  const { rows: channels } = await executor.client.query('select wake_channel($1)', [name])
  const rings: string[] = []
  executor.client.on('notification', ({ channel }) => rings.push(channel))
  await executor.client.query(`listen ${executor.client.escapeIdentifier(channels[0].wake_channel)}`)
  const replaying = async () => {
    const { rows } = await executor.client.query(
      'select stream_id from parked_events where subscription = $1 and replaying order by 1',
      [name],
    )
    return rows.map(({ stream_id }) => stream_id).join('')
  }
  assert.is(await replaying(), '')
  assert.is(await meow.replayParked(name, { streamId: 'b' }), 1)
  assert.is(await replaying(), 'b')
  await until(() => rings.length > 0, { what: 'the wake-up' })
  assert.equal([...new Set(rings)], [channels[0].wake_channel])
  assert.is(await meow.replayParked(name, { streamId: 'nobody' }), 0)
  assert.is(await replaying(), 'b')
  assert.is(await meow.replayParked(name), 2 + 3, 'b is on its way already')
  assert.is(await replaying(), 'abc')
  assert.is(await meow.replayParked(name), 0)
  assert.is((await meow.parked(name)).length, 6, 'listed until they are handled')
})

test('invalid input is refused, and so is an unknown name', async () => {
  const name = uniqueName('nobody')
  assert.is((await rejects(meow.parked(name), SubscriptionNotFoundError)).subscription, name)
  assert.is((await rejects(meow.replayParked(name), SubscriptionNotFoundError)).subscription, name)
  const refused: [call: Promise<unknown>, path: string][] = [
    [meow.parked(''), 'name'],
    [meow.parked(name, { limit: 0 }), 'options.limit'],
    [meow.parked(name, { limit: 1.5 }), 'options.limit'],
    [meow.parked(name, { offset: 1 } as object), 'options.offset'],
    [meow.replayParked(7 as unknown as string), 'name'],
    [meow.replayParked(name, { streamId: '' }), 'options.streamId'],
    [meow.replayParked(name, { stream: 'a' } as object), 'options.stream'],
  ]
  for (const [call, path] of refused) assert.is((await rejects(call, ValidationError)).path, path)
})

test('the same in SQL', async () => {
  const { name, executor, streams } = await setUp([3])
  await executor.park(streams[0]![1]!, { attempts: 4, error: 'no' })
  const client = await pgClient()
  const { rows } = await client.query(
    `select version, type, attempts, error from ${storeSchema}.parked('${name}')`,
  )
  assert.equal(rows, [
    { version: 1, type: 'Odd', attempts: 4, error: 'no' },
    { version: 2, type: 'Even', attempts: 0, error: null },
  ])
  const replayed = await client.query(`select ${storeSchema}.replay_parked('${name}') as events`)
  assert.is(Number(replayed.rows[0].events), 2)
})

test.run()
