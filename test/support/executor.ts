/**
 * An executor as a process of its own. Takes ExecutorOptions as JSON, prints what happens as lines of JSON, and reads commands
 * as lines: `ack` (all deliveries), `go` (let the handler continue), `jump` (move its clock by an hour), `close`.
 */
import { createInterface } from 'node:readline'
import type { ExecutorOptions } from './executors.ts'
import { theWay } from './ways.ts'

const options = JSON.parse(process.argv[2]!) as ExecutorOptions
let offsetMs = options.clockOffsetMs ?? 0
const trueNow = Date.now
Date.now = () => trueNow() + offsetMs
const { connect } = await import('../../src/index.ts')

const say = (line: object) => console.log(JSON.stringify(line))
const meow = await connect(
  theWay({
    connectionString: options.url ?? process.env.DATABASE_URL!,
    schema: options.schema,
    pollIntervalMs: 100,
  }),
)
const { name, category, leaseMs, maxInFlight = 256 } = options
const subscription = meow.subscription(name, { category, leaseMs, maxInFlight })
subscription.status$.subscribe(({ state }) => say({ state }))

const inHand: { event: { version: number }; ack(): Promise<void> }[] = []
let go = () => {}
if (options.how === 'hold') {
  subscription.deliveries().subscribe((delivery) => {
    inHand.push(delivery)
    say({ held: delivery.event.version })
  })
} else {
  subscription.process(async ({ version }) => {
    say({ begun: version })
    if (options.how === 'wait') {
      await new Promise<void>((resolve) => {
        go = resolve
      })
    }
    if (options.handlerMs) await new Promise((resolve) => setTimeout(resolve, options.handlerMs))
    say({ handled: version })
  })
}

createInterface({ input: process.stdin }).on('line', async (command) => {
  if (command === 'go') go()
  if (command === 'jump') offsetMs += 3_600_000
  if (command === 'close') await meow.close().then(() => process.stdin.destroy())
  if (command !== 'ack') return
  for (const { event, ack } of inHand.splice(0)) {
    ack().then(
      () => say({ acked: event.version }),
      (error) => say({ refused: event.version, code: error.code }),
    )
  }
})
