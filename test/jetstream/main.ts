/**
 * Long runs of consumers on JetStream: `npm run test:jetstream -- --minutes 5`: three nats-servers with three replicas, about 300
 * events/s, kill -9 of the stream's leader and of a consumer every 15 s; then every event must be handled, each stream in order.
 * `npm run test:jetstream -- --bench`: how many events/s 1 and 4 consumer processes handle, on one server.
 */
import { parseArgs } from 'node:util'
import { killConsumers } from '../support/jetstream-children.ts'
import { clusterRun } from '../support/jetstream-cluster.ts'
import { findNats } from '../support/nats.ts'
import { startCluster } from '../support/nats-cluster.ts'
import { testServer } from '../support/server.ts'
import { closeAll, openStore } from '../support/store.ts'
import { bench } from './bench.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, bench: { type: 'boolean', default: false } },
})
const program = findNats()
if (!program) throw new Error('there is no nats-server here (Debian: apt-get install nats-server)')
const server = await testServer()
process.env.DATABASE_URL = server.connectionString
try {
  if (values.bench) await bench(program)
  else {
    const cluster = await startCluster(program)
    try {
      const ms = Number(values.minutes) * 60_000
      const how = { ms, rate: 300, killMs: 15_000, killConsumers: true }
      const { events, kills, repeats } = await clusterRun(cluster, await openStore(), how)
      console.log(`${events} events, ${kills} kills of leader and consumer, ${repeats} repeats: all in order`)
    } finally {
      await cluster.stop()
    }
  }
} finally {
  await killConsumers()
  await closeAll()
  await server.stop()
}
