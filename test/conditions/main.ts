/**
 * Long runs of conditional appends: `npm run test:conditions -- --minutes 30 [--seed 7]`. Kills and restarts all along, on a server of its
 * own, one store a minute. Prints each seed, and the first condition that did not
 * hold. Then each planted defect must be found.
 */
import { parseArgs } from 'node:util'
import pg from 'pg'
import { connect } from '../../src/index.ts'
import { ownServer } from '../support/own-server.ts'
import { random } from '../support/random.ts'
import { firstBroken } from './check.ts'
import { defects } from './defects.ts'
import { logOf, run } from './run.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' } },
})
const end = Date.now() + Number(values.minutes) * 60_000
let seed = Number(values.seed ?? Math.floor(Math.random() * 1e9))
const server = await ownServer({ fsync: 'off' })
const { connectionString } = server

async function prepare(schema: string, statement?: string): Promise<void> {
  await using meow = await connect({ connectionString, schema, listen: false })
  await meow.migrate()
  if (!statement) return
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    await client.query(`set search_path = "${schema}"; ${statement}`)
  } finally {
    await client.end()
  }
}

let failed = false
try {
  do {
    const schema = `run_${seed}`
    await prepare(schema)
    const restart = async () => {
      await server.kill()
      await server.start()
    }
    const ms = Math.min(60_000, Math.max(5_000, end - Date.now()))
    const ran = await run({ connectionString, schema, ms, random: random(seed).next, kills: true, restart })
    const broken = firstBroken(await logOf(connectionString, schema))
    console.log(
      `seed ${seed}: ${ran.booked} booked, ${ran.refused} refused, ${ran.lost} lost to faults, ${ran.errors.length} errors`,
    )
    if (broken || ran.errors.length > 0) {
      failed = true
      console.log('BROKEN', JSON.stringify(broken, null, 2), ran.errors)
    }
    seed++
  } while (Date.now() < end && !failed)
  for (const [name, statement] of Object.entries(defects)) {
    const schema = `defect_${seed++}`
    await prepare(schema, statement)
    const began = Date.now()
    const found = async () => firstBroken(await logOf(connectionString, schema)) !== undefined
    await run({ connectionString, schema, ms: 60_000, random: random(seed).next, isOver: found })
    const isFound = await found()
    console.log(`${isFound ? 'found' : 'NOT FOUND'} in ${Date.now() - began} ms: ${name}`)
    failed ||= !isFound
  }
} finally {
  await server.remove()
}
process.exitCode = failed ? 1 : 0
