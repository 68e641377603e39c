// Measures how many events/s consumers handle.
import { natsBroker, relay } from '../../src/relay/index.ts'
import { startConsumer } from '../support/jetstream-children.ts'
import { countOf, startNats } from '../support/nats.ts'
import { openStore, uniqueName } from '../support/store.ts'
import { until } from '../support/until.ts'

const COUNT = 20_000
const PARTITIONS = 64

/** Prints a line for each number of processes: the events are in JetStream already, and their handlers do nothing, or wait 5 ms. */
export async function bench(program: string): Promise<void> {
  const nats = await startNats(program)
  try {
    const meow = await openStore()
    const category = uniqueName('bench')
    const broker = natsBroker({ servers: nats.url, stream: category, create: true })
    const relaying = relay(meow, category, {
      category,
      prefix: 'meowmx',
      subjectPartitions: PARTITIONS,
      broker,
    })
    for (let n = 0; n < COUNT; n += 1_000) {
      const events = Array.from({ length: 1_000 }, (_, i) => n + i)
      await Promise.all(
        events.map((i) =>
          meow.append({ category, streamId: `${i % 1_000}` }, { type: 'Happened', data: { i } }),
        ),
      )
    }
    await until(async () => (await countOf(nats, category)) === COUNT, {
      timeoutMs: 120_000,
      what: 'the relay',
    })
    await relaying.stop()
    for (const delayMs of [0, 5])
      for (const processes of [1, 4]) {
        const options = {
          url: nats.url,
          stream: category,
          category,
          name: `bench_${processes}_${delayMs}`,
          partitions: PARTITIONS,
          concurrency: 64,
          ackWaitMs: 30_000,
          delayMs,
          quiet: true,
        }
        const began = Date.now()
        const children = await Promise.all(
          Array.from({ length: processes }, () => startConsumer(options, [])),
        )
        const handled = () => children.reduce((sum, { handled }) => sum + handled, 0)
        await until(() => handled() > COUNT / 10, { timeoutMs: 60_000, what: 'a beginning' })
        const [from, at] = [handled(), Date.now()]
        await until(() => handled() >= COUNT, { timeoutMs: 120_000, what: 'all' })
        const perSecond = Math.round(((handled() - from) * 1_000) / (Date.now() - at))
        console.log(
          `${processes} processes, handlers of ${delayMs} ms: ${perSecond} events/s (${Date.now() - began} ms in all)`,
        )
        await Promise.all(children.map((one) => one.stop()))
      }
  } finally {
    await nats.stop()
  }
}
