// @long @alone
// Conditions are exact: a checker that replays the log finds that every accepted condition held, whatever else writes, dies or
// restarts. The checker does find each planted defect.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect } from '../src/index.ts'
import { firstBroken } from './conditions/check.ts'
import { defects } from './conditions/defects.ts'
import { logOf, run } from './conditions/run.ts'
import { ownServer } from './support/own-server.ts'
import { random } from './support/random.ts'
import { closeAll, databaseUrl, uniqueName } from './support/store.ts'

/** A defect must be found within this time. */
const BOUND_MS = 20_000

test.after(closeAll)

async function emptyStore(connectionString: string, ...statements: string[]): Promise<string> {
  const schema = uniqueName('exact')
  await using meow = await connect({ connectionString, schema, listen: false })
  await meow.migrate()
  const client = new pg.Client({ connectionString })
  await client.connect()
  for (const statement of statements) await client.query(`set search_path = "${schema}"; ${statement}`)
  await client.end()
  return schema
}

test('no condition was broken, by kills and a restart of the server', async () => {
  const server = await ownServer({ fsync: 'off' })
  try {
    const { connectionString } = server
    const schema = await emptyStore(connectionString)
    const restart = async () => {
      await server.kill()
      await server.start()
    }
    const seed = Date.now()
    const enough = { booked: 100, refused: 10 }
    const ran = await run({
      connectionString,
      schema,
      ms: 5_000,
      enough,
      random: random(seed).next,
      kills: true,
      restart,
    })
    const log = await logOf(connectionString, schema)
    assert.equal(firstBroken(log), undefined, `seed ${seed}`)
    assert.equal(ran.errors, [], `seed ${seed}`)
    assert.ok(ran.booked >= enough.booked && ran.refused >= enough.refused, JSON.stringify(ran))
  } finally {
    await server.remove()
  }
})

for (const [name, statement] of Object.entries(defects))
  test(`the checker finds a planted defect: ${name}`, async () => {
    const connectionString = databaseUrl()
    const schema = await emptyStore(connectionString, statement)
    const found = async () => firstBroken(await logOf(connectionString, schema)) !== undefined
    await run({ connectionString, schema, ms: BOUND_MS, random: random(Date.now()).next, isOver: found })
    assert.ok(await found())
    const client = new pg.Client({ connectionString })
    await client.connect()
    await client.query(`drop schema "${schema}" cascade`)
    await client.end()
  })

test.run()
