// The queries inside functions and triggers, and how many blocks each read touches: no scan of the table and no reading past
// the wanted events, at 100,000 events.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventColumns } from '../src/events/event.ts'
import { select } from '../src/events/selector.ts'
import type { Meow, Selector } from '../src/index.ts'
import { pageQuery } from '../src/read/page-reader.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { vacuum } from './support/vacuum.ts'

const schema = uniqueName('plans')
const COUNT = 100_000
const meow: Meow = await openStore({ schema, listen: false })
const sql = await pgClient()
test.after(closeAll)

// A third of all events in one category, the rest in 200, and a few of a rare category and of a rare type.
await sql.query(
  `insert into ${schema}.events (version, category, stream_id, type, data)
   select n / 5000, case when n % 5000 % 3 = 0 then 'big' else 'c' || n % 200 end, 's' || n % 5000,
          case when n % 25000 = 17 then 'Rare' else 'T' || n % 3 end, '{"price": 9}'
   from generate_series(0, $1::int - 1) as n`,
  [COUNT],
)
// And one long stream, without a gap in its positions.
await sql.query(
  `insert into ${schema}.events (version, category, stream_id, type, data)
   select n, 'long', 'l', 'T', '1' from generate_series(0, 19999) as n`,
)
const long = (version: number) => COUNT + 1 + version
await meow.append(
  { category: 'rare', streamId: 'a' },
  [1, 2, 3].map((data) => ({ type: 'T', data })),
)
// Of 10,000 tags one each, and one that half the events carry.
await sql.query(
  `insert into ${schema}.event_tags select 'own' || position, position from ${schema}.events where position % 10 = 0
   union all select 'half', position from ${schema}.events where position % 2 = 0`,
)
await vacuum(sql, `${schema}.events`)
await vacuum(sql, `${schema}.event_tags`)

interface Node {
  'Node Type': string
  'Relation Name'?: string
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Node[]
}

function walk(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(walk)]
}

/** No scan of the table; and, where `sorts` is false, no sort. Inside functions a batch's own few rows may be sorted. */
function isLean(root: Node, said: string, sorts = false): void {
  const nodes = walk(root).map((node) => `${node['Node Type']} ${node['Relation Name'] ?? ''}`)
  const bad = nodes.filter((node) => /^Seq Scan events$/.test(node) || (!sorts && /Sort/.test(node)))
  assert.equal(bad, [], `${said}\n${nodes.join('\n')}`)
}

/** The plans of all statements on tables of the store that run inside `action`. */
async function nested(
  action: (client: pg.Client) => Promise<unknown>,
): Promise<{ text: string; plan: Node }[]> {
  const client = await pgClient()
  await client.query(`load 'auto_explain'`)
  await client.query(`
    set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
    set auto_explain.log_format = json; set auto_explain.log_level = notice; set client_min_messages = notice`)
  const plans: { text: string; plan: Node }[] = []
  client.on('notice', ({ message }) => {
    const json = message?.match(/plan:\s*(\{[\s\S]*\})\s*$/)?.[1]
    if (!json) return
    const { 'Query Text': text, Plan: plan } = JSON.parse(json)
    plans.push({ text, plan })
  })
  await action(client)
  await client.end()
  return plans
}

const event = { type: 'T', data: 1 }
const streams = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ category: i % 2 ? 'big' : `c${i}`, streamId: `s${i * 3}` }))
let erasures = 1
const actions: [name: string, action: (client: pg.ClientBase) => Promise<unknown>, touches: RegExp][] = [
  [
    'append to a stream that is there',
    (client) => meow.append(streams(1)[0]!, event, { client }),
    /order by e\.version desc/,
  ],
  [
    'append several events with ids',
    (client) => meow.append(streams(1)[0]!, [event, { ...event, id: crypto.randomUUID() }], { client }),
    /from events x where x\.id/,
  ],
  [
    'append to 64 streams at once',
    (client) =>
      meow.appendAll(
        streams(64).map((stream) => ({ stream, events: event })),
        { client },
      ),
    /order by e\.version desc/,
  ],
  [
    'append in SQL',
    (client) =>
      client.query(
        `select * from ${schema}.append('big', 's0', '[{"type": "T"}, {"type": "T"}]', 'stream-exists')`,
      ),
    /where e\.id = any/,
  ],
  [
    'a raw INSERT of 1,000 rows',
    (client) =>
      client.query(`insert into ${schema}.events (version, category, stream_id, type, data)
                    select n % 10, '${uniqueName('raw')}', 's' || n / 10, 'T', '1' from generate_series(0, 999) as n`),
    /i\.version - 1/,
  ],
  ['the horizon', (client) => client.query(`select ${schema}.horizon('big')`), /position <= b/],
  [
    'where a moment begins',
    (client) => client.query(`select ${schema}.position_at(clock_timestamp())`),
    /e\.position >= _middle/,
  ],
  [
    'a look of who notifies for all',
    (client) => client.query(`select * from ${schema}.publish('{}', '{}', ${COUNT - 10}, 0)`),
    /e\.position > _from/,
  ],
  [
    'a look of who notifies for all, while some are held back',
    (client) =>
      client.query(
        `select * from ${schema}.publish(array[${schema}.category_key('big'), ${schema}.store_key()], '{${COUNT - 99},${COUNT - 99}}', ${COUNT - 10}, 0)`,
      ),
    /e\.position > _from/,
  ],
  [
    'erasing a stream',
    // Each time another one: there is nothing to erase twice.
    (client) => client.query(`select * from ${schema}.erase_stream('big', 's${3 * erasures++}')`),
    /set data = '{}'/,
  ],
  [
    'remembering a state',
    (client) =>
      client.query(`insert into ${schema}.snapshots (category, stream_id, name, snapshot_version, version, event_id, state)
                    values ('long', 'l', '${uniqueName('state')}', 1, 19000, gen_random_uuid(), '1')`),
    /e\.version > new\.version/,
  ],
  ['a read', (client) => meow.read({ category: 'big' }, { client, limit: 10 }), /category = \(select \$4/],
  ['a load', (client) => meow.load(streams(2)[1]!, { client }), /stream_id = \$2/],
]

for (const [name, action, touches] of actions) {
  for (const mode of ['force_custom_plan', 'force_generic_plan']) {
    test(`${name}, ${mode}`, async () => {
      const plans = await nested(async (client) => {
        await client.query(`set plan_cache_mode = ${mode}`)
        await action(client)
      })
      for (const { text, plan } of plans) isLean(plan, text, true)
      assert.ok(
        plans.some(({ text }) => touches.test(text)),
        `none of ${plans.length} plans is of ${touches}`,
      )
    })
  }
}

// PostgreSQL counts a call only if it really calls the function. What is inlined is part of its caller's plan. An SQL function that
// can't be inlined is planned again in each append: one such helper took 22 % of an append.
for (const [what, events] of [
  ['one event', event],
  ['several events', [event, event]],
] as const) {
  test(`an append of ${what} calls no SQL function: all are inlined`, async () => {
    const client = await pgClient()
    const calls = async () => {
      const { rows } = await client.query(
        `select f.funcname as name, l.lanname as language
         from pg_stat_xact_user_functions f join pg_proc p on p.oid = f.funcid join pg_language l on l.oid = p.prolang
         where f.schemaname = $1`,
        [schema],
      )
      return rows as { name: string; language: string }[]
    }
    // The first transaction plans, for which PostgreSQL calls functions of constants. The second append of a transaction has
    // announced its category already.
    for (const tracking of ['none', 'all']) {
      await client.query(`rollback; begin; set local track_functions = '${tracking}'`)
      for (let n = 0; n < 2; n++)
        await meow.append({ category: 'inlined', streamId: what }, events, { client })
    }
    const called = await calls()
    await client.query('rollback')
    assert.ok(
      called.some(({ name }) => name === 'appended'),
      JSON.stringify(called),
    )
    assert.equal(
      called.filter(({ language }) => language === 'sql'),
      [],
    )
  })
}

// Blocks that a page of 100 events may touch: its rows, and the way down the indexes.
const pages: [name: string, Selector, values: unknown[], range: [number, number], blocks: number][] = [
  ['every event', {}, [], [50_000, COUNT], 250],
  ['the end of all', {}, [], [COUNT - 20, COUNT], 50],
  ['a big category', { category: 'big' }, ['big'], [50_000, COUNT], 250],
  ['a small category', { category: 'c7' }, ['c7'], [0, COUNT], 350],
  ['a rare category', { category: 'rare' }, ['rare'], [0, 2 * COUNT], 50],
  ['a category with nothing new', { category: 'c7' }, ['c7'], [COUNT, 2 * COUNT], 30],
  ['a rare and a big category', { category: ['big', 'rare'] }, ['big', 'rare'], [0, 2 * COUNT], 350],
  ['a stream', { category: 'big', streamId: 's0' }, ['big', 's0'], [0, COUNT], 60],
  ['a stream with nothing new', { category: 'big', streamId: 's0' }, ['big', 's0'], [COUNT, 2 * COUNT], 60],
  ['a long stream', { category: 'long', streamId: 'l' }, ['long', 'l'], [0, 2 * COUNT], 40],
  [
    'a long stream, from inside',
    { category: 'long', streamId: 'l' },
    ['long', 'l'],
    [long(9_000), 2 * COUNT],
    40,
  ],
  [
    'a long stream, up to inside',
    { category: 'long', streamId: 'l' },
    ['long', 'l'],
    [0, long(9_000) - 1],
    40,
  ],
]
for (const [name, selector, values, [after, until], blocks] of pages) {
  for (const [direction, bound] of [
    ['forward', []],
    ['backward', []],
    ['forward', [16_000_000]],
    ['backward', [16_000_000]],
  ] as const) {
    const way = `${direction}${bound.length > 0 ? ', bounded by bytes' : ''}`
    test(`a page of ${name}, ${way}, touches ${blocks} blocks at most`, async () => {
      const text = pageQuery(select(selector), direction, bound.length > 0)
        .replaceAll(/\bmeowmx\./g, `${schema}.`)
        .replaceAll('{{event}}', eventColumns())
      for (const mode of ['force_custom_plan', 'force_generic_plan']) {
        await sql.query(`set plan_cache_mode = ${mode}`)
        await sql.query(`prepare page as ${text}`)
        const list = [after, until, 100, ...values, ...bound].map((value) =>
          typeof value === 'number' ? value : `'${value}'`,
        )
        const { rows } = await sql.query(
          `explain (analyze, buffers, format json) execute page (${list.join(', ')})`,
        )
        await sql.query('deallocate page')
        const plan = rows[0]['QUERY PLAN'][0].Plan as Node
        isLean(plan, text)
      }
    })
  }
}

for (const [what, tags] of [
  ['a rare tag', ['own50000']],
  ['a rare tag and one that half the events carry', ['half', 'own50000']],
  ['two tags that no event carries together', ['own10', 'own50000']],
] as const)
  test(`a query and a condition by ${what}: ranges of an index`, async () => {
    const query = JSON.stringify([{ tags }])
    const horizon = (await sql.query(`select ${schema}.horizon()`)).rows[0].horizon
    const plans = await nested(async (client) => {
      await client.query(`select * from ${schema}.query_page($1)`, [query])
      await client.query(`select * from ${schema}.query_pages($1, 256)`, [`[${query},${query}]`])
      await client.query(`select ${schema}.first_unseen($1, 0, '{}')`, [query])
      await client.query(`select ${schema}.first_unseen($1, $2, '{}')`, [query, horizon])
    })
    const own = plans.filter(({ text }) => text.includes('event_tags'))
    assert.ok(own.length >= 2, plans.map(({ text }) => text).join('\n'))
    for (const { text, plan } of own) {
      const nodes = walk(plan)
      const scans = nodes.filter((node) => node['Node Type'] === 'Seq Scan' && node['Relation Name'])
      assert.equal(scans, [], text)
      const touched = plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
      assert.ok(!(touched > 100), `${touched} blocks: ${text}`)
    }
    for (const call of [
      `query_page($1)`,
      `query_pages(json_build_array($1::json), 256)`,
      `first_unseen($1, 0, '{}')`,
    ]) {
      const { rows } = await sql.query(
        `explain (analyze, buffers, format json) select * from ${schema}.${call}`,
        [query],
      )
      const { 'Shared Hit Blocks': hit, 'Shared Read Blocks': read } = rows[0]['QUERY PLAN'][0].Plan
      assert.ok(hit + read < 400, `${hit} + ${read} blocks: ${call}`)
    }
  })

test('what the planner takes for expensive is not compiled', async () => {
  const { rows } = await sql.query(
    `select proconfig from pg_proc where pronamespace = $1::regnamespace and proname in ('query_page', 'query_pages')`,
    [schema],
  )
  assert.is(rows.length, 2)
  assert.ok(rows.every(({ proconfig }) => proconfig.includes('jit=off')))
})

test('a rare type is found by walking', async () => {
  for (const selector of [{ types: ['Rare'] }, { types: ['Rare'], category: 'c17' }]) {
    for (const direction of ['forward', 'backward'] as const) {
      assert.is((await meow.read(selector, { direction })).events.length, 4)
    }
  }
})

test.run()
