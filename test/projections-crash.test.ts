// @long
// kill -9 at any moment of a build, of a switch and of a rebuild leaves one live version, complete and exact: what the view shows is what
// the events say, computed directly.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { dropSchemas, viewSchema } from './support/projections.ts'
import { seeded } from './support/random.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const meow = await openStore({ pollIntervalMs: 100, logger: false })
const sql = await pgClient()
const children = new Set<ReturnType<typeof spawn>>()
test.after(async () => {
  for (const child of children) child.kill('SIGKILL')
  const schema = storeSchema
  await meow.close()
  await dropSchemas(schema)
  await closeAll()
})

test('killed again and again, while it builds, switches and rebuilds', async () => {
  const dice = seeded('projections-crash')
  const schema = storeSchema
  const [name, category, expose] = [uniqueName('p').slice(0, 10), uniqueName('order'), await viewSchema()]
  const append = (n: number) =>
    meow.append(
      { category, streamId: `${n % 37}` },
      { type: 'Ordered', data: { customer: `${n % 7}`, amount: n } },
    )
  await Promise.all(upTo(3_000).map(append))

  const file = new URL('support/projection-child.ts', import.meta.url).pathname
  const start = (versions: number[]) => {
    const args = [...program(file), schema, name, category, expose, ...versions.map(String)]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    children.add(child)
    child.once('close', () => children.delete(child))
    return child
  }
  /** At most one version is live at any moment, and its views are there, all of them. */
  const check = async () => {
    const live = (await meow.projections()).filter((one) => one.name === name && one.state === 'live')
    assert.ok(live.length <= 1)
    const { rows } = await sql.query(
      `select v.relname as view, t.relnamespace::regnamespace::text as schema
       from pg_class v join pg_rewrite r on r.ev_class = v.oid join pg_depend d on d.objid = r.oid and d.refobjid <> v.oid
       join pg_class t on t.oid = d.refobjid where v.relnamespace = $1::regnamespace group by 1, 2`,
      [expose],
    )
    return [live.map(({ schema }) => schema), rows.map(({ schema }) => schema)]
  }
  const direct = await sql.query(
    `select data ->> 'customer' as customer, count(*)::int as orders, sum((data ->> 'amount')::bigint)::bigint as amount
     from ${schema}.events where category = $1 group by 1 order by 1`,
    [category],
  )
  const isLive = async (version: number, generation: number) =>
    (await meow.projections()).some(
      (one) =>
        one.name === name && one.version === version && one.generation === generation && one.state === 'live',
    )
  for (const [versions, version, generation] of [
    [[1], 1, 1],
    [[1, 2], 2, 1],
    [[1, 2], 2, 2],
  ] as const) {
    // It is refused while no process runs, so the call is repeated.
    let asked = generation === 1
    const ask = () => {
      asked = true
      meow.rebuildProjection(name).catch(() => {
        asked = false
      })
    }
    let isSteady = false
    for (let kills = 0; !isSteady; kills++) {
      const child = start([...versions])
      await once(child.stdout!, 'data')
      // The first few are killed soon, at a random moment; the last one may finish.
      const until = kills < 4 ? dice.int(20, 600) : 60_000
      for (const end = Date.now() + until; Date.now() < end && !isSteady; await delay(5)) {
        if (!asked) ask()
        isSteady = await isLive(version, generation)
        const [live, views] = await check()
        if (views!.length > 0 && live!.length > 0 && (await check())[0]![0] === live![0])
          assert.is(views!.length, 1)
      }
      child.kill('SIGKILL')
      await once(child, 'close')
    }
  }
  const [live, views] = await check()
  assert.equal(live, views, 'the views are on the tables of the live version')
  const shown = await sql.query(`select * from ${expose}.totals order by 1`)
  assert.equal(shown.rows, direct.rows)
  await until(async () => (await meow.projections()).filter((one) => one.name === name).length === 2, {
    what: 'the generation that was replaced to be gone',
  })
})

test.run()
