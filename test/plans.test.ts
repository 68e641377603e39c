// No read scans the table or sorts what it reads, at 100,000 events, whether the server plans for the given values or once for
// all, and also in the form that clients of other libraries get.
import type pg from 'pg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { asText } from '../src/database/as-text.ts'
import type { Statement } from '../src/database/statement.ts'
import { statements } from '../src/database/statements.ts'
import { eventBytes, eventColumns } from '../src/events/event.ts'
import { select } from '../src/events/selector.ts'
import { pageStatements } from '../src/read/page-reader.ts'
import { openStore, pgClient, uniqueName } from './support/store.ts'
import { vacuum } from './support/vacuum.ts'

const plans = suite('plans: no sequential scan and no sort on any read at 100,000 events')
const schema = uniqueName('plans')
const EVENTS = 100_000
let client: pg.Client

plans.before(async () => {
  const meow = await openStore({ schema })
  await meow.close()
  client = await pgClient()
  await client.query(`set search_path = ${schema}`)
  // 30 categories of uneven size, 20 events a stream, 7 types.
  await client.query(
    `insert into events (version, category, stream_id, type, data, metadata)
     select n % 20, 'c' || floor(sqrt(n / 20 % 900)), 's' || n / 20, 't' || n % 7, '{"price": 9}',
            case when n % 2 = 0 then '{}' else json_build_object('correlationId', 'corr' || n / 10) end
     from generate_series(0, $1::int - 1) as n`,
    [EVENTS],
  )
  // Of 100 tags a rare one each, one that half the events carry, and one for each thousandth.
  await client.query(
    `insert into event_tags select 'own' || position, position from events where position % 10 = 0
     union all select 'half', position from events where position % 2 = 0
     union all select 'few' || position % 1000, position from events`,
  )
  await vacuum(client, 'event_tags')
  // What a decider remembers of each of 5,000 streams.
  await client.query(
    `insert into snapshots (category, stream_id, name, snapshot_version, version, event_id, state)
     select category, stream_id, 'd', 1, version, id, '1' from events where version = 10`,
  )
  await vacuum(client, 'events')
  await vacuum(client, 'snapshots')
})

plans.after(async () => {
  await client.query(`drop schema ${schema} cascade`)
  await client.end()
})

/** The nodes of a statement's plan, by both ways of planning. */
async function nodes(text: string, values: unknown[]): Promise<string[]> {
  const own = text
    .replaceAll(/\bmeowmx\./g, `${schema}.`)
    .replaceAll('{{event}}', eventColumns())
    .replaceAll('{{bytes}}', eventBytes)
  const found: string[] = []
  for (const mode of ['force_custom_plan', 'force_generic_plan']) {
    await client.query(`set plan_cache_mode = ${mode}`)
    await client.query(`prepare q as ${own}`)
    const literals = values.map((value) => literal(value)).join(', ')
    const { rows } = await client.query(`explain (format json) execute q${literals ? ` (${literals})` : ''}`)
    await client.query('deallocate q')
    collect(rows[0]['QUERY PLAN'][0].Plan, found)
  }
  return found
}

function collect(
  plan: { 'Node Type': string; 'Relation Name'?: string; 'Index Name'?: string; Plans?: any[] },
  found: string[],
): void {
  found.push([plan['Node Type'], plan['Relation Name'], plan['Index Name']].filter(Boolean).join(' on '))
  for (const child of plan.Plans ?? []) collect(child, found)
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `'{${value.join(',')}}'`
  return typeof value === 'string' ? `'${value}'` : String(value)
}

/** A statement, and what clients of other libraries get instead. */
async function areLean(statement: Statement, values: unknown[]): Promise<string[]> {
  return [...(await isLean(statement.text, values)), ...(await isLean(asText(statement), values))]
}

async function isLean(text: string, values: unknown[]): Promise<string[]> {
  const found = await nodes(text, values)
  const bad = found.filter((node) =>
    /^(Seq Scan on (events|snapshots|event_tags)|Bitmap Heap Scan on event_tags|Sort|Incremental Sort)/.test(
      node,
    ),
  )
  assert.equal(bad, [], `${text}\n${found.join('\n')}`)
  assert.ok(
    found.some((node) => /^Index/.test(node)),
    found.join('\n'),
  )
  return found
}

const many = (n: number) => Array.from({ length: n }, (_, i) => `c${i}`)

const selectors = {
  'every event': { selector: {}, values: [] },
  'some types': { selector: { types: ['t1', 't2'] }, values: [['t1', 't2']] },
  'a category': { selector: { category: 'c9' }, values: ['c9'] },
  'a category that is rare': { selector: { category: 'c0' }, values: ['c0'] },
  'a category that is not there': { selector: { category: 'nobody' }, values: ['nobody'] },
  'a category, some types': { selector: { category: 'c9', types: ['t1'] }, values: [['t1'], 'c9'] },
  'three categories': { selector: { category: many(3) }, values: many(3) },
  'eight categories, one type': {
    selector: { category: many(8), types: ['t1'] },
    values: [['t1'], ...many(8)],
  },
  'twenty categories': { selector: { category: many(20) }, values: [many(20)] },
  'a tag': { selector: { tags: ['few7'] }, values: [['few7']] },
  'a tag that half the events carry': { selector: { tags: ['half'] }, values: [['half']] },
  'two tags': { selector: { tags: ['few8', 'half'] }, values: [['few8', 'half']] },
  'two tags, some types': {
    selector: { tags: ['few8', 'half'], types: ['t1'] },
    values: [['t1'], ['few8', 'half']],
  },
  'a tag of two categories': {
    selector: { category: many(2), tags: ['few7'] },
    values: [...many(2), ['few7']],
  },
  'a tag of twenty categories': {
    selector: { category: many(20), tags: ['few7'] },
    values: [many(20), ['few7']],
  },
  'a tag of a stream': {
    selector: { category: 'c9', streamId: 's90', tags: ['half'] },
    values: ['c9', 's90', ['half']],
  },
  'a stream': { selector: { category: 'c9', streamId: 's90' }, values: ['c9', 's90'] },
}

const ways = ['forward', 'backward'].flatMap((way) => [
  [way as 'forward' | 'backward', false] as const,
  [way as 'forward' | 'backward', true] as const,
])

for (const [name, { selector, values }] of Object.entries(selectors)) {
  for (const [way, isBounded] of ways) {
    plans(`a page of ${name}, ${way}${isBounded ? ', bounded by bytes' : ''}`, async () => {
      const statement = pageStatements(select(selector))[way][isBounded ? 'bounded' : 'plain']
      const bound = isBounded ? [16_000_000] : []
      for (const [after, until] of [
        [0, EVENTS], // from the start
        [EVENTS - 10, EVENTS], // live
        [40_000, 60_000],
      ]) {
        const found = await areLean(statement, [after, until, 1_000, ...values, ...bound])
        // A category is read by its index, be it common, rare or not there: never by a walk through the store.
        const { category, streamId } = selector as { category?: string | string[]; streamId?: string }
        if (!category || streamId || category.length > 8 || 'tags' in selector) continue
        const indexes = found.filter((node) => node.startsWith('Index'))
        assert.ok(
          indexes.every((node) => node.endsWith('events_category_position')),
          found.join('\n'),
        )
      }
    })
  }
}

plans('load, forward and backward', async () => {
  for (const statement of [statements.load, statements.loadBackward]) {
    await areLean(statement, ['c9', 's90', 0, 2_147_483_647, 10_000, 16_000_000])
    await areLean(statement, ['c9', 's90', 19, 20, 1, 16_000_000])
  }
})

plans('a snapshot, and the event that it was taken at', async () => {
  await areLean(statements.snapshot, ['c9', 's90', 'd', 1, 2_147_483_647])
})

plans('events by id', async () => {
  await areLean(statements.eventsById, [['00000000-0000-0000-0000-000000000001']])
})
plans('the last version of a stream', async () => {
  await isLean(statements.lastVersion.text, ['c9', 's90'])
})

plans('streams of a category: probes of one index', async () => {
  for (const values of [
    ['c9', '', '', 100],
    ['c9', 's9', 's90', 10],
  ]) {
    const found = await nodes(statements.streams.text, values)
    assert.not(
      found.some((node) => /^Seq Scan on events/.test(node)),
      found.join('\n'),
    )
    assert.ok(found.some((node) => node.endsWith('on events on events_version')))
    assert.not(
      found.some((node) => /events_category_position|events_pkey/.test(node)),
      found.join('\n'),
    )
  }
})

plans('a trace: one range of its index; what may be sorted is what was found', async () => {
  const found = await nodes(statements.trace.text, ['corr9', 0, 1_000])
  const scans = found.filter((node) => /Scan/.test(node) && !/^Bitmap Heap/.test(node))
  assert.ok(
    scans.length > 0 && scans.every((node) => node.endsWith('on events_correlation')),
    found.join('\n'),
  )
})

plans('categories', async () => {
  const found = await nodes(statements.categories.text, [null])
  // It sorts the categories, and no events.
  assert.not(found.some((node) => /^Seq Scan on events/.test(node)))
  assert.ok(found.some((node) => /^Index Only Scan on events/.test(node)))
})

plans(
  'what functions ask: the settled position, the last version, a known id, the version before',
  async () => {
    await isLean('select position from meowmx.events where position <= $1 order by position desc limit 1', [
      EVENTS,
    ])
    await isLean(
      'select version from meowmx.events where category = $1 and stream_id = $2 order by version desc limit 1',
      ['c9', 's90'],
    )
    await isLean(
      `select was.same from unnest($1::uuid[]) as e (i) left join lateral (
       select true as same from meowmx.events x where x.id = e.i) as was on true`,
      [['00000000-0000-0000-0000-000000000001']],
    )
  },
)

plans('a test that can fail: without an index there is a sequential scan or a sort', async () => {
  const found = await nodes('select * from meowmx.events where type = $1 order by recorded_at', ['t1'])
  assert.ok(
    found.some((node) => node.startsWith('Seq Scan on events')) && found.includes('Sort'),
    found.join('\n'),
  )
})

plans.run()
