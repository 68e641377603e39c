// @direct
// A writer can insert by plain SQL what every reader can read; everything else is refused with a clear error.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chosenEdges } from './support/raw-rows.ts'
import { RawStore } from './support/raw-store.ts'
import { rejects } from './support/rejects.ts'
import { dropRoles, loginOf, statementsOf } from './support/roles.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

const schema = uniqueName('raw')
const sql = await pgClient()
let writer: pg.Client
test.before(async () => {
  const [roles, grants] = statementsOf(schema)
  await sql.query(roles)
  await openStore({ schema, listen: false })
  await sql.query(grants)
  writer = await pgClient({ connectionString: await loginOf(sql, `${schema}_writer`) })
})
test.after(async () => {
  await closeAll()
  const admin = await pgClient()
  await dropRoles(admin, schema)
  await closeAll()
})

test('a row at the edges of its types is inserted if every reader can read it, and refused with one clear error if not', async () => {
  const store = new RawStore(schema)
  let [inserted, refused] = [0, 0]
  for (const edges of chosenEdges()) {
    const { batch, bad } = store.batch(edges)
    if (bad) {
      const error = (await rejects(store.insert(writer, batch), Error)) as pg.DatabaseError
      assert.is(error.code, '23514', error.message)
      if (Object.values(edges).filter((edge) => edge?.bad).length === 1) assert.match(error.message, bad)
      refused++
    } else {
      await store.insert(writer, batch)
      inserted += batch.length
    }
  }
  const { row: ordinary } = store.row({})
  await store.insert(writer, [ordinary])
  inserted++
  const next = ordinary.version + 1
  for (const [version, code] of [
    [-1, '23514'],
    [next - 1, '23505'],
    [next + 1, 'MW003'],
    [2_147_483_647, '23514'],
  ] as const) {
    const error = await rejects(store.insert(writer, [{ ...store.row({}).row, version }]), Error)
    assert.is((error as pg.DatabaseError).code, code)
  }
  const { rows } = await sql.query(`select count(*)::int as n from ${schema}.events`)
  assert.is(rows[0].n, inserted)
  assert.ok(inserted >= 80 && refused > 30, `${inserted} rows, ${refused} refused`)
})

test.run()
