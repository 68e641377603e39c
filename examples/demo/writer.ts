// A process that appends the flights, each as an event of its airport's stream, at a steady pace.
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'meowmx'
import { childOf } from './children.ts'
import { readFlights } from './flights.ts'

// Well below what the store takes, so that the executors live on push rather than on a backlog.
const FLIGHTS_PER_SECOND = 1_500
const BATCH = 30

const { connectionString, schema, send } = childOf(() => meow.close())
const meow = await connect({ connectionString, schema, listen: false })
const flights = await readFlights()

const begin = performance.now()
let position = 0
for (let i = 0; i < flights.length; i += BATCH) {
  await delay(begin + (i / FLIGHTS_PER_SECOND) * 1000 - performance.now()) // behind time: at once
  // Appends that run at the same time travel together, in this order: one round trip, one commit.
  const results = await Promise.all(
    flights
      .slice(i, i + BATCH)
      .map((data) =>
        meow.append({ category: 'airport', streamId: data.origin }, { type: 'FlightDeparted', data }),
      ),
  )
  position = results.at(-1)!.position
}
await meow.close()
send({ position, ms: performance.now() - begin } satisfies Written)
process.disconnect()

export interface Written {
  /** Of the last event. */
  position: number
  ms: number
}
