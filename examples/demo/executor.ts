// A process that keeps a version of the read model, together with others of its kind: one is at work, the others stand by.
import { performance } from 'node:perf_hooks'
import { connect, type RecordedEvent } from 'meowmx'
import { childOf } from './children.ts'
import { departures } from './read-model.ts'

const { connectionString, schema, send } = childOf(() => meow.close())
const version = Number(process.argv[2])
const meow = await connect({ connectionString, schema, maxConnections: 3 })
const report = (more: Partial<Report>) =>
  send({ isReady: true, handled: 0, latencies: [], holding: false, ...more } satisfies Report)

let condemned = false
const latency = (event: RecordedEvent) =>
  Math.max(0, performance.timeOrigin + performance.now() - event.recordedAt.getTime())

const readModel = departures(schema, version, async (events, { rebuilding }) => {
  report({
    handled: events.length,
    latencies: rebuilding ? [] : events.map(latency), // what is built from the past came when it was long there
    holding: condemned,
  })
  // The worst moment to be killed, which luck would rarely strike: all is written, nothing is committed.
  if (condemned) await new Promise(() => {})
})

const orders = {
  async start() {
    const worker = meow.projection(readModel).start()
    worker.done.catch((error) => {
      console.error(error)
      process.exit(1)
    })
    await worker.ready
    report({})
  },
  hold() {
    condemned = true
  },
}
process.on('message', (order: keyof typeof orders) => void orders[order]())
report({ isReady: false })

/** Sent when it has begun, and with each batch. */
export interface Report {
  /** Whether it works on the read model, or would if the one at work died. */
  isReady: boolean
  /** How many events this batch has. */
  handled: number
  /** Of each event of a batch: ms from its append until it was written into the read model. */
  latencies: number[]
  /** It has written a batch, and will not commit it. */
  holding: boolean
}
