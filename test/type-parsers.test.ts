// Type parsers that an application sets for all of pg do not change how the library reads the server's answers.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect } from '../src/index.ts'
import { closeAll, databaseUrl, pgClient, uniqueName } from './support/store.ts'
import { decide, execute, manage, read, write } from './support/work.ts'

/** Sets parsers for all types that have one, and for text; returns how to take that back. */
function everyParser(parse: (oid: number, value: string) => unknown): () => void {
  const oids = [16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 700, 701, 1043, 1184, 1700, 2950, 3802]
  const were = [...oids, 1005, 1007, 1009, 1016, 1231, 2951].map((oid) => {
    const was = pg.types.getTypeParser(oid)
    pg.types.setTypeParser(oid, (value: string) => parse(oid, value))
    return () => pg.types.setTypeParser(oid, was as (value: string) => any)
  })
  return () => were.forEach((restore) => void restore())
}

test.after(closeAll)

for (const [name, parse] of [
  ['texts', (_: number, value: string) => value],
  ['objects', (oid: number, value: string) => ({ oid, value })],
  ['nothing', () => undefined],
] as const) {
  test(`everything comes as ${name}`, async () => {
    const schema = uniqueName('parsed')
    const admin = await pgClient()
    const restore = everyParser(parse)
    try {
      const address = new URL(databaseUrl())
      address.searchParams.set('target_session_attrs', 'read-write')
      const meow = await connect({ connectionString: address.href, schema })
      assert.is((await meow.migrate()).applied[0], '001_events.sql')
      assert.equal(await meow.migrate(), { applied: [] })
      const client = await pgClient()
      const events = await write(meow, client)
      assert.type(events[0]!.position, 'number')
      assert.instance(events[0]!.recordedAt, Date)
      assert.equal(events[0]!.data, { n: [1] })
      await read(meow, events, client)
      await decide(meow, client)
      await manage(meow, await execute(meow, events))
      await meow.close()
      const pool = new pg.Pool({ connectionString: databaseUrl() })
      const borrowing = await connect({ pool, schema })
      await read(borrowing, events, client)
      await borrowing.close()
      await pool.end()
    } finally {
      restore()
      await admin.query(`drop schema if exists ${schema} cascade`)
    }
  })
}

test.run()
