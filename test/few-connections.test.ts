// One connection is enough for an executor, whatever its handlers do with the connection that they are given; a transactional
// handler that also uses the store needs a second one.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ProcessOptions, RecordedEvent } from '../src/index.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

const events = Array.from({ length: 200 }, () => ({ type: 'Happened', data: {} }))

for (const { maxConnections, transactional, appends } of [
  { maxConnections: 1, transactional: false, appends: true },
  { maxConnections: 1, transactional: true, appends: false },
  { maxConnections: 2, transactional: true, appends: true },
]) {
  const what = `${transactional ? 'transactional' : 'plain'} handlers${appends ? ' that append' : ''}`
  test(`maxConnections ${maxConnections}: ${what}`, async () => {
    const [category, name, schema] = [uniqueName('few'), uniqueName('few'), storeSchema]
    const meow = await openStore({ maxConnections, queryTimeoutMs: 10_000 })
    const sql = await pgClient()
    await sql.query(`create table if not exists ${schema}.effects (category text, position bigint)`)
    for (let stream = 0; stream < 4; stream++)
      await meow.append({ category, streamId: `${stream}` }, events.slice(0, 50))
    const handled = new Set<number>()
    const handle = async (event: RecordedEvent, { client }: { client?: any }) => {
      if (appends && event.version % 10 === 0)
        await meow.append({ category: `${category}_more`, streamId: '1' }, { type: 'Followed', data: {} })
      await client?.query(`insert into ${schema}.effects values ($1, $2)`, [category, event.position])
      handled.add(event.position)
    }
    const worker = meow
      .subscription(name, { category, partitions: 4 })
      .process(handle as never, { transactional } as ProcessOptions as object)
    await until(() => handled.size === events.length, { timeoutMs: 30_000, what: 'all events' })
    await worker.stop()
    const {
      rows: [{ count }],
    } = await sql.query(`select count(*)::int from ${schema}.effects where category = $1`, [category])
    assert.is(count, transactional ? events.length : 0)
    await meow.close()
  })
}

test.run()
