/**
 * A consumer of JetStream as a process of its own. Takes `{ url, stream, category, name, partitions, concurrency, ackWaitMs, delayMs, quiet }` as
 * JSON; says a line of JSON for each event that it has handled (with `quiet` the number of them, every 50 ms); told `stop` on
 * stdin, it ends.
 */
import { createInterface } from 'node:readline'
import { jetstream } from '../../src/relay/index.ts'

const { url, stream, category, name, partitions, concurrency, ackWaitMs, delayMs, quiet } = JSON.parse(
  process.argv[2]!,
)
const events = jetstream({ servers: url, stream, ackWaitMs, timeoutMs: 2_000, logger: false })
let handled = 0
const worker = events.subscription(name, { category, partitions }).process(
  async ({ id, streamId, version }) => {
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
    handled++
    if (!quiet) console.log(JSON.stringify({ id, streamId, version, at: `${process.hrtime.bigint()}` }))
  },
  { concurrency },
)
await worker.ready
console.log(JSON.stringify({ ready: true }))
const telling = quiet ? setInterval(() => console.log(JSON.stringify({ handled })), 50) : undefined
createInterface({ input: process.stdin }).on('line', async () => {
  await worker.stop()
  clearInterval(telling)
  await events.close()
  process.stdin.destroy()
})
