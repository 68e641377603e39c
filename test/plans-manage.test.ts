// The queries of an administrator: no scan of the table and no sort of its events, at 100,000 events, whether the server plans
// for the given values or once for all. If an index is enough, nothing else is read.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Statement } from '../src/database/statement.ts'
import { statements } from '../src/database/statements.ts'
import { eventBytes, eventColumns } from '../src/events/event.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { vacuum } from './support/vacuum.ts'

const schema = uniqueName('plans')
const COUNT = 100_000
await openStore({ schema, listen: false })
const sql = await pgClient()
await sql.query(`set search_path = ${schema}`)
test.after.each(async () => {
  await sql.query('rollback; delete from subscriptions')
})
test.after(closeAll)

// A third of all in one category, the rest in 200.
await sql.query(
  `insert into events (version, category, stream_id, type, data)
   select n / 5000, case when n % 5000 % 3 = 0 then 'big' else 'c' || n % 200 end, 's' || n % 5000,
          'T' || n % 3, '{"price": 9}'
   from generate_series(0, $1::int - 1) as n`,
  [COUNT],
)
await vacuum(sql, 'events')

interface Node {
  'Node Type': string
  'Relation Name'?: string
  'Parent Relationship'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Node[]
}

/** A statement, or one of those that run inside it. */
interface Planned {
  text: string
  plan: Node
  /** Triggers that it called. */
  triggers: string[]
}

const own = ({ text }: Statement) =>
  text
    .replaceAll('meowmx.', `${schema}.`)
    .replaceAll('{{event}}', eventColumns())
    .replaceAll('{{bytes}}', eventBytes)

function walk(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(walk)]
}

const nodes = (root: Node) =>
  walk(root).map((node) => [node['Node Type'], node['Relation Name']].filter(Boolean).join(' '))

/** The statement with all that runs inside it, itself last, by one way of planning. */
async function plans(text: string, values: unknown[], mode: string): Promise<Planned[]> {
  const client = await pgClient()
  await client.query(`
    load 'auto_explain';
    set search_path = ${schema}; set plan_cache_mode = ${mode};
    set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
    set auto_explain.log_analyze = on; set auto_explain.log_buffers = on; set auto_explain.log_timing = off;
    set auto_explain.log_triggers = on;
    set auto_explain.log_format = json; set auto_explain.log_level = notice; set client_min_messages = notice`)
  const found: Planned[] = []
  client.on('notice', ({ message }) => {
    const json = message?.match(/plan:\s*(\{[\s\S]*\})\s*$/)?.[1]
    if (!json) return
    const { 'Query Text': text, Plan: plan, Triggers = [] } = JSON.parse(json)
    const triggers = Triggers.map((trigger: { 'Trigger Name': string }) => trigger['Trigger Name'])
    found.push({ text, plan, triggers })
  })
  await client.query('begin')
  await client.query({ name: 'q', text, values })
  await client.query('rollback')
  await client.end()
  return found
}

/** The sort keys, without subqueries. */
function sorted({ Plans = [] }: Node): Node[] {
  const inputs = Plans.filter((node) => !/InitPlan|SubPlan/.test(node['Parent Relationship'] ?? ''))
  return inputs.flatMap((node) => [node, ...sorted(node)])
}

/** With custom and generic plans: no scan and no sort of the events, and at most this many blocks of them and their indexes. */
async function isLean(text: string, values: unknown[], blocks: number, maySort = false): Promise<Planned[]> {
  const all: Planned[] = []
  for (const mode of ['force_custom_plan', 'force_generic_plan']) {
    const found = await plans(text, values, mode)
    const said = [mode, ...found.map(({ plan }) => nodes(plan).join('\n'))].join('\n\n')
    const every = found.flatMap(({ plan }) => walk(plan))
    const onEvents = every.filter((node) => node['Relation Name'] === 'events')
    assert.not(
      onEvents.some((node) => node['Node Type'] === 'Seq Scan'),
      said,
    )
    const sorts = every.filter((node) => /Sort/.test(node['Node Type']))
    assert.not(!maySort && sorts.some((sort) => sorted(sort).some((node) => onEvents.includes(node))), said)
    const touched = onEvents.reduce((sum, it) => sum + it['Shared Hit Blocks'] + it['Shared Read Blocks'], 0)
    assert.ok(touched <= blocks, `${touched} blocks, ${said}`)
    if (process.env.SHOW) console.log(touched)
    all.push(...found)
  }
  return all
}

async function subscribe(
  name: string,
  categories: string[] | null,
  types: string[] | null,
  streamId: string | null,
) {
  await sql.query('select subscribe($1, $2, $3, $4, 4, 0)', [name, categories, types, streamId])
}

/** The plans of what counts the lag of each subscription exactly. */
async function lagPlans(blocks: number): Promise<string[]> {
  const all = await isLean(own(statements.subscriptions), [null, true], blocks)
  const found = all.flatMap(({ plan }) => nodes(plan).filter((node) => / events$/.test(node)))
  assert.ok(found.length > 0)
  return found
}

/** Events that all of these plans read, or index entries of them. */
function examined(all: readonly Planned[]): number {
  const reads = all.flatMap(({ plan }) => walk(plan)).filter((node) => node['Relation Name'] === 'events')
  return reads.reduce(
    (sum, node) => sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
    0,
  )
}

// Blocks: those of the index, or of the index and the events, and what the rest of the question takes.
for (const [name, categories, types, streamId, blocks, indexOnly] of [
  ['of everything', null, null, null, 400, true],
  ['of a big category', ['big'], null, null, 200, true],
  ['of a small one', ['c7'], null, null, 20, true],
  ['of twenty', Array.from({ length: 20 }, (_, i) => `c${i}`), null, null, 200, true],
  ['of one that is not there', ['nobody'], null, null, 20, true],
  ['of a type', null, ['T1'], null, 2_000, false],
  ['of a type in a small category', ['c7'], ['T1'], null, 500, false],
  ['of a stream', ['big'], null, 's0', 60, false],
] as [string, string[] | null, string[] | null, string | null, number, boolean][]) {
  test(`the lag ${name} touches ${blocks} blocks at most${indexOnly ? ', and no event' : ''}`, async () => {
    await subscribe('lag', categories, types, streamId)
    const found = await lagPlans(blocks)
    if (indexOnly) assert.equal([...new Set(found)], ['Index Only Scan events'])
  })
}

test('the lag of partitions that are not equally far', async () => {
  await subscribe('lag', ['c7'], null, null)
  await sql.query('update checkpoints set position = partition * 1000')
  await lagPlans(500)
})

test('of 40 subscriptions that are far behind no more than 2,500 events each, and 16 samples of 32, are looked at', async () => {
  const selections = [
    [null, null],
    [['big'], null],
    [null, ['T1']],
    [
      ['big', 'c7', 'c8'],
      ['T0', 'T2'],
    ],
  ]
  for (let n = 0; n < 40; n++) {
    const [categories, types] = selections[n % 4] as [string[] | null, string[] | null]
    await subscribe(`far${n}`, categories, types, null)
    if (n % 8 >= 4)
      await sql.query('update checkpoints set position = partition * 1000 where subscription = $1', [
        `far${n}`,
      ])
  }
  const all = await isLean(own(statements.subscriptions), [null, false], 25_000)
  const each = examined(all) / 2 / 40 // planned twice
  assert.ok(each > 500 && each < 2_500 + 16 * 32 * 1.5 + 100, `${each} events each`)
})

test('for subscriptions that have caught up, no event is read', async () => {
  for (let n = 0; n < 20; n++) await subscribe(`up${n}`, n % 2 ? ['big'] : null, n % 3 ? ['T1'] : null, null)
  await sql.query('update checkpoints set position = $1', [COUNT])
  const all = await isLean(own(statements.subscriptions), [null, true], 200)
  assert.ok(examined(all) < 20, `${examined(all)} events`)
})

test('of a parked stream and all of its waiting events, only the first and the last are read', async () => {
  await sql.query(
    `insert into events (version, category, stream_id, type, data) select n, 'deep', 'one', 'T', '{}' from generate_series(0, 4999) as n`,
  )
  await vacuum(sql, 'events')
  await subscribe('deep', ['deep'], null, null)
  await sql.query(`
    insert into parked_events (subscription, category, stream_id, position, attempts, error, replaying)
    select 'deep', category, stream_id, position, 1, '', true from events where category = 'deep' and version = 1`)
  await sql.query(`
    update checkpoints set position = (select position from events where category = 'deep' and version = 4000)`)
  const found = await isLean(own(statements.lag), ['deep'], 120)
  assert.ok(examined(found) < 2 * 1_100, `${examined(found)} events`) // the lag of 999, and a few probes
})

test('an erasure reads each event of the stream once, and calls no trigger for it', async () => {
  await vacuum(sql, 'events')
  const found = await plans(own(statements.erase), ['deep', 'one', null], 'force_custom_plan')
  const updates = found.filter(({ text }) => text.startsWith('update events'))
  assert.is(updates.length, 1)
  assert.equal(updates[0]!.triggers, ['append_only'])
  assert.ok(examined(found) < 1.1 * 5_000, `${examined(found)} events`)
})

test('what categories there are takes two probes of an index each; what they hold, one walk through one index', async () => {
  await vacuum(sql, 'events')
  const named = await isLean(own(statements.categoryNames), [], 2_000)
  assert.ok(examined(named) < 2 * 2 * 210, `${examined(named)} events`)
  const all = await isLean(own(statements.categories), [null], 3_000)
  const { rows } = await sql.query('select count(*)::int from events')
  assert.ok(examined(all) < 2 * (1.02 * rows[0].count + 3 * 210), `${examined(all)} index entries`)
  const since = await isLean(own(statements.categoryCounts), [COUNT - 100, COUNT], 20)
  assert.is(examined(since), 2 * 100)
})

test('of 1,000 blocked streams, each with 10 events: the first 10 events, and all of them', async () => {
  await subscribe('parked', null, null, null)
  await sql.query('update checkpoints set position = (select max(position) from events)')
  await sql.query(`
    insert into parked_events (subscription, category, stream_id, position, attempts, error)
    select 'parked', category, stream_id, position, 1, '' from events where version = 10 and position % 5 = 0`)
  const { rows } = await sql.query('select count(*)::int from parked_events')
  assert.is(rows[0].count, 1_000)
  await isLean(own(statements.parked), ['parked', 10, 16_000_000], 40)
  // For each stream, the blocks of the index down to it, and its events, each in another block.
  await isLean(own(statements.replayParked), ['parked', null], 20_000)
  const all = await isLean(own(statements.subscriptions), [null, false], 20_000)
  assert.ok(examined(all) < 2 * 4 * 1_000, `${examined(all)} events`)
  await isLean(own(statements.replayParked), ['parked', 's0'], 40)
})

test('a check of waitFor', async () => {
  await subscribe('wait', ['big'], ['T1'], null)
  for (const position of [1, COUNT / 2, 2 * COUNT])
    await isLean(own(statements.reached), ['wait', position], 10)
})

test('settled: nothing below the checkpoints is read', async () => {
  await subscribe('settle', ['big'], ['T1'], null)
  await subscribe('settle all', null, null, null)
  await sql.query('update checkpoints set position = $1', [COUNT - 100])
  const wanted = await isLean(own(statements.settling), [null], 200, true) // events above the checkpoints
  assert.ok(examined(wanted) < 2 * 2 * 110, `${examined(wanted)} events`)
  for (const name of ['settle', 'settle all']) {
    const found = await isLean(own(statements.settled), [name, COUNT], 200)
    assert.ok(examined(found) < 2 * 110, `${examined(found)} events`)
  }
})

test('a checkpoint without waiters looks for them in their index', async () => {
  await sql.query(`
    insert into waiters select 'other' || n, 1, gen_random_uuid(), clock_timestamp() + interval '1 h'
    from generate_series(1, 1000) as n; analyze waiters`)
  const found = await isLean('select wake_waiters($1)', ['wait'], 0)
  const touched = found.flatMap(({ plan }) => nodes(plan)).filter((node) => node.includes('Scan'))
  assert.ok(touched.length > 0)
  assert.ok(
    touched.every((node) => /^Index (Only )?Scan waiters$/.test(node)),
    touched.join('\n'),
  )
})

test('blocking transactions, with 200 categories', async () => {
  await sql.query(`begin; select announce('c7')`)
  await isLean(own(statements.stallers), [], 1_000)
})

test.run()
