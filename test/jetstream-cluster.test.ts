// The leader of a JetStream stream with three replicas is killed under load: nothing is lost, each stream in order. @direct @long
import { test } from 'uvu'
import { killConsumers } from './support/jetstream-children.ts'
import { clusterRun } from './support/jetstream-cluster.ts'
import { findNats } from './support/nats.ts'
import { startCluster } from './support/nats-cluster.ts'
import { closeAll, openStore } from './support/store.ts'
import { unless } from './support/ways.ts'

const program = findNats()
const clustered = unless(
  !program && 'there is no nats-server here (Debian: apt-get install nats-server)',
  test,
)
test.after(async () => {
  await killConsumers()
  await closeAll()
})

clustered('kill -9 the leader under load: nothing is lost, each stream in order', async () => {
  const cluster = await startCluster(program!)
  try {
    const run = await clusterRun(cluster, await openStore(), { ms: 4_000, rate: 200, killMs: 4_000 })
    console.log(`${run.events} events, ${run.kills} kills of the leader, ${run.repeats} repeats`)
  } finally {
    await cluster.stop()
  }
})

test.run()
