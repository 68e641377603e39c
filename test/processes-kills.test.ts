// kill -9 of processes that fire timers and run process managers: everything comes exactly once, and nothing early. Planted
// defects show that the check finds what is wrong.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runWithKills } from './support/process-kills.ts'
import type { Run } from './support/process-rules.ts'
import { begin, ringer, violations } from './support/process-rules.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

test.after(closeAll)

test('killed at random, all of it comes once and not early', async () => {
  const meow = await openStore()
  const run: Run = { name: uniqueName('kills'), count: 100, spreadMs: 1_500 }
  const address = { connectionString: databaseUrl(), schema: storeSchema }
  const { found } = await runWithKills(meow, address, run, {
    processes: 2,
    lifeMs: 1_000,
    limitMs: 10_000,
  })
  assert.equal(found, [])
})

/** A function of the store, with a defect planted into its text. */
const defects: [rule: string, name: string, text: string | RegExp, instead: string][] = [
  [
    'twice',
    'save_instances',
    /delete from process_timers t using json_to_recordset\(_cancelled\)[\s\S]*?;/,
    '',
  ],
  [
    'early',
    'claim_timers',
    't.next_at <= clock_timestamp()',
    `t.next_at <= clock_timestamp() + interval '1 hour'`,
  ],
  [
    'early',
    'claim_process_timers',
    /t.next_at <= clock_timestamp\(\)/g,
    `t.next_at <= clock_timestamp() + interval '1 hour'`,
  ],
  [
    'lost',
    'settle_timers',
    'where t.key = any (_fired)',
    `where t.key = any (_fired) or t.next_at < clock_timestamp()`,
  ],
  [
    'lost',
    'save_instances',
    /from json_to_recordset\(_scheduled\) as s \(id text/,
    'from (select * from json_to_recordset(_scheduled) as s (id text',
  ],
  ['torn', 'save_instances', `set state = coalesce(i.state, 'null'),`, 'set state = p.state,'],
]
for (const [rule, name, text, instead] of defects)
  test(`a planted defect is found: ${rule}, in ${name}`, async () => {
    const schema = uniqueName('defect')
    const meow = await openStore({ schema })
    const sql = await pgClient()
    const { rows } = await sql.query(
      `select pg_get_functiondef(oid) as definition from pg_proc where proname = $1 and pronamespace = $2::regnamespace`,
      [name, schema],
    )
    const { definition } = rows[0]
    let planted = definition.replace(text, instead)
    if (rule === 'twice')
      planted = planted
        .replaceAll('case when i.ended then', 'case when false then')
        .replace('where i.ended and', 'where false and')
    if (instead.startsWith('from (select'))
      planted = planted.replace(
        'cross join lateral',
        `where s.name = 'ring' and random() < 0.8) s cross join lateral`,
      )
    assert.is.not(planted, definition)
    await sql.query(planted)
    // On a slow machine all timers of a short time are late, and none is seen early, or left for the next look.
    const found: string[] = []
    const isFound = () => found.some((one) => one.startsWith(rule))
    for (let spreadMs = 300; !isFound() && spreadMs < 30_000; spreadMs *= 4) {
      const run: Run = { name: uniqueName('ringer'), count: 30, spreadMs }
      await using _worker = meow.runProcessManager(ringer(run))
      await begin(meow, run)
      found.push(...(await violations(meow, run, 3_000 + spreadMs)))
    }
    assert.ok(isFound(), `found ${found.slice(0, 5)}`)
  })

test.run()
