// `npm run test:processes`: kills processes for a minute that fire 10,000 timers and the timers of 10,000 instances. Everything has
// to come exactly once, and nothing early. MEOWMX_PROCESSES=500 makes it shorter.
import { startPostgres } from '../src/embedded/index.ts'
import { connect } from '../src/index.ts'
import { runWithKills } from './support/process-kills.ts'

const count = Number(process.env.MEOWMX_PROCESSES ?? 10_000)
const server = await startPostgres()
const meow = await connect({ connectionString: server.connectionString })
await meow.migrate()
const run = { name: 'ringer', count, spreadMs: Math.max(count * 6, 2_000) }
const address = { connectionString: server.connectionString, schema: 'meowmx' }
const { kills, found } = await runWithKills(meow, address, run, {
  processes: 3,
  lifeMs: 3_000,
  limitMs: 600_000,
})
console.log(`${count} timers and ${count} instances, ${kills} kills: ${found.length} violations`)
for (const one of found.slice(0, 20)) console.log(one)
await meow.close()
await server.stop()
process.exitCode = found.length === 0 ? 0 : 1
