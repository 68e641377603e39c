// A process that keeps the read model, together with others of its kind: one owns the subscription, the others stand by.
import { performance } from 'node:perf_hooks'
import { connect, type Delivery, LeaseLostError, type SubscriptionStatus } from 'meowmx'
import { bufferTime, concatMap, filter, map } from 'rxjs'
import { childOf } from './children.ts'
import { ReadModel } from './read-model.ts'

const { connectionString, schema, send } = childOf(() => meow.close())
const meow = await connect({ connectionString, schema, maxConnections: 3 })
const readModel = new ReadModel(connectionString, schema)
const subscription = meow.subscription('departures', { category: 'airport', leaseMs: 2_000 })

let status: SubscriptionStatus
const report = (more: Partial<Report>) =>
  send({
    state: status.state,
    position: status.position,
    latencies: [],
    holding: false,
    ...more,
  } satisfies Report)
subscription.status$.subscribe((next) => {
  status = next
  report({})
})

let condemned = false
process.on('message', () => {
  condemned = true
})

const arrived = (delivery: Delivery) => {
  const now = performance.timeOrigin + performance.now()
  return { delivery, latency: Math.max(0, now - delivery.event.recordedAt.getTime()) }
}

// `process(handler)` would be simpler, but commits once an event: a disk that takes 5 ms for it would need 100 s. So the
// deliveries of 20 ms go into the read model by one statement, and are acked once that is committed.
subscription
  .deliveries()
  .pipe(
    map(arrived),
    bufferTime(20, null, 256),
    filter((batch) => batch.length > 0),
    concatMap(async (batch) => {
      await readModel.add(batch.map(({ delivery }) => delivery.event))
      report({ latencies: batch.map(({ latency }) => latency), holding: condemned })
      // The worst moment to be killed, where luck would rarely strike: all is written, nothing is acked.
      if (condemned) await new Promise(() => {})
      await Promise.all(batch.map(({ delivery }) => delivery.ack())).catch((error) => {
        if (!(error instanceof LeaseLostError)) throw error // then its new owner handles them again
      })
    }),
  )
  .subscribe({
    error: (error) => {
      console.error(error)
      process.exit(1)
    },
  })

/** Sent at each change of the status, and after each batch. */
export interface Report {
  state: SubscriptionStatus['state']
  /** The checkpoint. */
  position: number
  /** Of each event of a batch: ms from its append to its arrival here. */
  latencies: number[]
  /** It has written a batch, and will not ack it. */
  holding: boolean
}
