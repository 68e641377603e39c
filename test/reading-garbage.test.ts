// @serial
// Events that were read and passed on are garbage at once: they do not survive V8's scavenges (src/database/fast-query.ts says
// why they might).
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'

const EVENTS = 200_000
const category = uniqueName('garbage')

test.before(async () => {
  await openStore()
  const sql = await pgClient()
  await sql.query(
    `insert into ${storeSchema}.events (version, category, stream_id, type, data)
     select (n - 1) / 100, $1, (n - 1) % 100, 'Happened', json_build_object('text', repeat('x', 100), 'n', n)
     from generate_series(1, ${EVENTS}) as n`,
    [category],
  )
})
test.after(closeAll)

test('little of the memory that a reading process allocates survives a scavenge', async () => {
  const file = new URL('support/reading-child.ts', import.meta.url).pathname
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--trace-gc-nvp', ...program(file), JSON.stringify({ schema: storeSchema, category })],
    { maxBuffer: 64 * 1024 * 1024 },
  )
  const scavenges = stdout.split('\n').filter((line) => / gc=s /.test(line))
  const sum = (what: string) =>
    scavenges.slice(-20).reduce((sum, line) => sum + Number(new RegExp(` ${what}=(\\d+)`).exec(line)![1]), 0)
  assert.ok(scavenges.length >= 20, `${scavenges.length} scavenges`)
  const share = sum('new_space_survived') / sum('allocated')
  assert.ok(share < 0.2, `${Math.round(share * 100)} % survived`)
})

test.run()
