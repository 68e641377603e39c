// `npm run test:processes`: kills processes for a minute that fire 10,000 timers and the timers of 10,000 instances, and now and then
// the server. Everything has to come exactly once, and nothing early. MEOWMX_PROCESSES=500 makes it shorter.
import { connect } from '../src/index.ts'
import { ownServer } from './support/own-server.ts'
import { runWithKills } from './support/process-kills.ts'

const count = Number(process.env.MEOWMX_PROCESSES ?? 10_000)
const server = await ownServer({})
const meow = await connect({ connectionString: server.connectionString, logger: false })
await meow.migrate()
const run = { name: 'ringer', count, spreadMs: Math.max(count * 6, 2_000) }
const address = { connectionString: server.connectionString, schema: 'meowmx' }
const { kills, crashes, found } = await runWithKills(meow, address, run, {
  processes: 3,
  lifeMs: 3_000,
  limitMs: 600_000,
  // Immediately: what is not on disk is gone.
  crash: async () => {
    await server.kill()
    await server.start()
  },
  crashMs: 10_000,
})
console.log(
  `${count} timers and ${count} instances, ${kills} kills of processes and ${crashes} of the server: ${found.length} violations`,
)
for (const one of found.slice(0, 20)) console.log(one)
await meow.close()
await server.remove()
process.exitCode = found.length === 0 ? 0 : 1
