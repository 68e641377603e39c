// @direct @long
// subscriptions() counts small numbers exactly and estimates large ones, says which it did, and reads a bounded number of
// events.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SubscriptionInfo } from '../src/index.ts'
import { ValidationError } from '../src/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { cli } from './support/cli.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { ask } from './support/studio.ts'
import { vacuum } from './support/vacuum.ts'

const schema = uniqueName('estimates')
const meow = await openStore({ schema, listen: false })
const sql = await pgClient()
await sql.query(`set search_path = ${schema}`)
test.after(closeAll)

/** Every second event in `big`, 100 in each of 200 small categories; one long stream; the last 500 of all in `late`. */
const COUNT = 50_000
const FEW = 1_000 // up to this number the count is exact, however many subscriptions lag
await sql.query(
  `insert into events (version, category, stream_id, type, data)
   select row_number() over (partition by category, stream_id order by n) - 1, category, stream_id, 'T' || n % 3, '{}'
   from (
     select n,
            case when n > $1::int - 500 then 'late' when n % 2 = 0 then 'big' when n % 5 = 1 then 'long' else 'c' || n % 199 end as category,
            case when n % 2 = 1 and n % 5 = 1 then 'one' else 's' || n % 97 end as stream_id
     from generate_series(1, $1::int) as n
   ) as x order by n`,
  [COUNT],
)
await vacuum(sql, 'events')

interface Selected {
  categories?: string[]
  types?: string[]
  streamId?: string
}

/** A subscription whose partitions have come to these positions. */
async function subscribe({ categories, types, streamId }: Selected, reached: number[]): Promise<string> {
  const name = uniqueName('estimated')
  const values = [name, categories ?? null, types ?? null, streamId ?? null, reached.length]
  await sql.query('select subscribe($1, $2, $3, $4, $5, 0)', values)
  await sql.query(`update checkpoints set position = ($2::bigint[])[partition + 1] where subscription = $1`, [
    name,
    reached,
  ])
  return name
}

/** How many events of a subscription lie above the checkpoints of their partitions. */
async function counted(name: string): Promise<number> {
  const { rows } = await sql.query(
    `select count(*)::int from events e
     join subscriptions s on s.name = $1
     join checkpoints c on c.subscription = s.name and c.partition = stream_hash(e.category, e.stream_id) % s.partitions
     where e.position > c.position and (s.categories is null or e.category = any (s.categories))
       and (s.types is null or e.type = any (s.types)) and (s.stream_id is null or s.stream_id = e.stream_id)`,
    [name],
  )
  return rows[0].count
}

async function told(name: string, exact = false): Promise<SubscriptionInfo> {
  // Beside all others, which have a share in what is counted; exactly, alone.
  const all = await meow.subscriptions(exact ? { names: [name], exact } : {})
  const info = all.find((one) => one.name === name)!
  if (exact) assert.is(info.lag, await counted(name))
  return info
}

const many = Array.from({ length: 30 }, (_, i) => `c${i}`)
// With this many subscriptions that lag, each has only the smallest share.
for (let n = 0; n < 150; n++) await subscribe({ categories: ['big'] }, [0, 0])

const [end, apart] = [
  [COUNT, COUNT],
  [10_000, 40_000, 25_000],
]
const cases: [what: string, selected: Selected, reached: number[], isEstimate: boolean][] = [
  ['nothing, of all', {}, end, false],
  ['nothing, of a category', { categories: ['big'] }, end, false],
  ['few, of all', {}, [COUNT - FEW, COUNT - FEW], false],
  ['few, of a big category', { categories: ['big'] }, [COUNT - 1_600, COUNT - 1_600], false],
  ['all of a small category', { categories: ['c7'] }, [0, 0], false],
  ['few at the very end', { categories: ['late'] }, [0, 0], false],
  ['few of several categories', { categories: ['c1', 'c2', 'c3', 'late'] }, [0, 0], false],
  ['few of a type', { types: ['T1'] }, [COUNT - FEW, COUNT - FEW], false],
  ['few, of partitions that are apart', {}, [COUNT - 900, COUNT - 1, COUNT - 300], false],
  ['a long stream, whole', { categories: ['long'], streamId: 'one' }, [0], false],
  ['a long stream, in the middle', { categories: ['long'], streamId: 'one' }, [COUNT / 2], false],
  ['all', {}, [0, 0], true],
  ['a big category', { categories: ['big'] }, [777, 777], true],
  ['a type', { types: ['T1'] }, [0, 0], true],
  ['a type of a big category', { categories: ['big'], types: ['T2', 'T0'] }, [0, 0], true],
  ['partitions that are apart', {}, apart, true],
  ['partitions of a category that are apart', { categories: ['big'] }, apart, true],
  ['thirty categories', { categories: many }, [0, 0], false],
  ['two big ones', { categories: ['big', 'long'] }, [0, 0], true],
  ['a type of a long stream', { categories: ['long'], types: ['T0', 'T1'], streamId: 'one' }, [0], true],
]
for (const [what, selected, reached, isEstimate] of cases) {
  test(`the lag of ${what} is ${isEstimate ? 'an estimate' : 'exact'}`, async () => {
    const name = await subscribe(selected, reached)
    const { lag, lagIsEstimate } = await told(name)
    const truth = await counted(name)
    if (!isEstimate && truth > FEW && !selected.streamId) assert.ok(what === 'thirty categories')
    if (isEstimate) {
      assert.is(lagIsEstimate, true)
      assert.ok(lag > 0.8 * truth && lag < 1.25 * truth, `${lag} for ${truth}`)
    } else if (!lagIsEstimate) assert.is(lag, truth)
    if (truth <= FEW || (selected.streamId && !selected.types)) assert.is(lagIsEstimate, false)
    const exact = await told(name, true)
    assert.equal([exact.lag, exact.lagIsEstimate], [truth, false])
  })
}

test('an estimate is never 0 if the number may be larger', async () => {
  const name = await subscribe({ types: ['Nobody'] }, [0, 0])
  const { lag, lagIsEstimate } = await told(name)
  assert.equal([lag, lagIsEstimate], [1, true])
  assert.is((await told(name, true)).lag, 0)
})

test('parked streams are counted; of many, their events are estimated, and of one that is long they are not', async () => {
  const [few, lots, long] = [await subscribe({}, end), await subscribe({}, end), await subscribe({}, end)]
  const park = (name: string, where: string, limit: number) =>
    sql.query(
      `insert into parked_events (subscription, category, stream_id, position, attempts, error)
       select $1, category, stream_id, position, 1, '' from events where ${where} order by category, stream_id, position limit $2`,
      [name, limit],
    )
  await park(few, `version = 10 and category = 'big'`, 50)
  await park(lots, 'version = 0', 2_000)
  await park(long, `version = 3 and category = 'long'`, 1)
  for (const [name, isEstimate] of [
    [few, false],
    [lots, true],
    [long, false],
  ] as const) {
    const { parked, parkedIsEstimate, parkedStreams, lag } = await told(name)
    const { rows } = await sql.query('select count(*)::int from parked_events where subscription = $1', [
      name,
    ])
    const all = await meow.parked(name, { limit: 100_000 })
    assert.equal([parkedStreams, parkedIsEstimate, lag], [rows[0].count, isEstimate, 0], name)
    if (isEstimate) assert.ok(parked > all.length / 3 && parked < 3 * all.length, `${parked}, ${all.length}`)
    else assert.is(parked, all.length)
    const exact = await told(name, true)
    assert.equal([exact.parked, exact.parkedIsEstimate], [all.length, false])
  }
})

test('events that are being replayed are lag, also those of a long stream, up to the checkpoint', async () => {
  const name = await subscribe({}, [COUNT - 10_000])
  const { rows } = await sql.query(
    `insert into parked_events (subscription, category, stream_id, position, attempts, error, replaying)
     select $1, category, stream_id, position, 0, '', true from events where category = 'long' and version = 100
     returning position`,
    [name],
  )
  const back = await sql.query(
    `select count(*)::int from events where category = 'long' and position between $1 and $2`,
    [rows[0].position, COUNT - 10_000],
  )
  const [info] = await meow.subscriptions({ names: [name], exact: true })
  assert.is(info!.lag, (await counted(name)) + back.rows[0].count)
})

test('the last version up to a position, at every position of the store', async () => {
  for (const [category, streamId] of [
    ['long', 'one'],
    ['big', 's4'],
    ['late', 's2'],
    ['none', 's'],
  ]) {
    const { rows } = await sql.query(
      `select p, version_at($1, $2, p) as found, (
         select coalesce(max(version), -1) from events where category = $1 and stream_id = $2 and position <= p
       ) as expected
       from generate_series(0, $3::int + 1, 13) as p`,
      [category, streamId, COUNT],
    )
    assert.equal(
      rows.filter(({ found, expected }) => found !== expected),
      [],
    )
  }
})

test('by names, in the order of names; unknown names return nothing', async () => {
  const names = [await subscribe({}, end), await subscribe({}, end)]
  const found = await meow.subscriptions({ names: [...names, 'nobody'].reverse() })
  assert.equal(
    found.map(({ name }) => name),
    names.toSorted(),
  )
  assert.equal(await meow.subscriptions({ names: [] }), [])
  for (const [options, path] of [
    [{ names: 'a' }, 'options.names'],
    [{ names: [''] }, 'options.names[0]'],
    [{ exact: 1 }, 'options.exact'],
    [{ name: 'a' }, 'options.name'],
  ] as const)
    assert.is((await rejects(meow.subscriptions(options as object), ValidationError)).path, path)
})

test('the command and the metrics say which are estimates', async () => {
  const name = await subscribe({}, [0, 0])
  const command = ['subscriptions', name, '--schema', schema]
  // One alone has a larger share.
  assert.match((await cli(command)).stdout, /\b50,000\b/)
  assert.not.match((await cli(command)).stdout, /~/)
  const all = (await cli(['subscriptions', '--schema', schema])).stdout
  assert.match(all.split('\n').find((line) => line.startsWith(name))!, /\s~[45]\d,\d{3}\s/)
  const exact = (await cli(['subscriptions', '--exact', '--schema', schema])).stdout
  assert.match(exact.split('\n').find((line) => line.startsWith(name))!, /\s50,000\s/)
  assert.match(
    (await cli(['doctor', '--schema', schema])).stdout,
    new RegExp(`"${name}", which has ~[45]\\d,\\d{3} events`),
  )
  const studio = await startStudio(meow, { port: 0 })
  const { body } = await ask(studio, '/metrics')
  assert.match(body, new RegExp(`meowmx_subscription_lag_is_estimate{subscription="${name}"} 1\n`))
  await studio.close()
})

test.run()
