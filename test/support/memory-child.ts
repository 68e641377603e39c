/**
 * A process, run with --expose-gc, that counts what it holds of a subscription with many waiting events: every event that
 * is alive, and the heap. Takes `{ schema, category, names, subscription, process, sample }` as JSON; prints `{ sample }` (the
 * heap of this many events), then `{ stuck }` each time all handlers are stuck with their windows full; told `go`, it handles
 * that many more and gets stuck again; told `close`, it closes.
 */
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import { until } from './until.ts'
import { theWay } from './ways.ts'

const { schema, category, names, subscription, process: how, sample } = JSON.parse(process.argv[2]!)
const say = (line: object) => console.log(JSON.stringify(line))

// Whatever is read goes through here: each event's data is counted until it is collected.
let [read, gone] = [0, 0]
const registry = new FinalizationRegistry<undefined>(() => gone++)
const parse = JSON.parse
JSON.parse = (...args: Parameters<typeof parse>) => {
  const value = parse(...args)
  if (value?.text !== undefined) {
    read++
    registry.register(value, undefined)
  }
  return value
}

/** Once nothing more is read or collected. */
async function measure(): Promise<{ read: number; alive: number; heap: number }> {
  let before = ''
  let same = 0
  await until(
    async () => {
      global.gc!()
      await turn()
      const now = `${read} ${gone}`
      same = now === before ? same + 1 : 0
      before = now
      return same > 20
    },
    { what: 'the heap to settle' },
  )
  return { read, alive: read - gone, heap: process.memoryUsage().heapUsed }
}

const meow = await connect(theWay({ connectionString: process.env.DATABASE_URL!, schema }))
await meow.read({ category }, { limit: 100 })
const empty = await measure()
let some: unknown = await meow.read({ category }, { limit: sample })
const full = await measure()
some = undefined
say({ sample: full.heap - empty.heap, alive: full.alive - empty.alive, some })

const idle = await measure()
let budget = 0
let handled = 0
let waiting: (() => void)[] = []
let inFlight = 0
const subscriptions = names.map((name: string) => meow.subscription(name, { category, ...subscription }))
const flying = new Map<string, number>()
for (const [i, durable] of subscriptions.entries()) {
  durable.status$.subscribe((status: { inFlight: number }) => {
    flying.set(names[i], status.inFlight)
    inFlight = [...flying.values()].reduce((sum, n) => sum + n, 0)
  })
  durable.process(async () => {
    while (budget <= 0) await new Promise<void>((resolve) => waiting.push(resolve))
    budget--
    handled++
  }, how)
}

const stuck = async () => {
  await until(() => inFlight === names.length * subscription.maxInFlight && budget === 0, {
    timeoutMs: 30_000,
    what: `full windows, in flight ${inFlight}, left ${budget}`,
  })
  const now = await measure()
  say({ stuck: { handled, read: now.read - idle.read, alive: now.alive, heap: now.heap - idle.heap } })
}
createInterface({ input: process.stdin }).on('line', (command) => {
  if (command === 'close') {
    budget = Number.POSITIVE_INFINITY
    for (const wake of waiting.splice(0)) wake()
    meow.close().then(() => process.exit())
    return
  }
  budget = Number(command.split(' ')[1])
  const all = waiting
  waiting = []
  for (const wake of all) wake()
  void stuck()
})
await stuck()
