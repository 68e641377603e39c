/**
 * A process with a small heap that reads or writes large events, one way after the other. Takes `{ schema, maxBufferedBytes?,
 * tasks }` as JSON; prints `ready` when its handlers wait for appends, and the result of each task:
 * `{ how, seen, rssMb }`, the last being the most memory so far.
 */
import pg from 'pg'
import { filter, firstValueFrom, tap } from 'rxjs'
import type { Delivery, Meow, RecordedEvent, Selector } from '../../src/index.ts'
import { connect } from '../../src/index.ts'
import { theWay } from './ways.ts'

export interface Task {
  readonly how: keyof typeof ways
  readonly category: string
  readonly streamId: string
  /** How many there are. */
  readonly events: number
  /** How large the text in each is. */
  readonly eventBytes: number
  /** Of a subscription. */
  readonly name: string
}

const { tasks, ...options } = JSON.parse(process.argv[2]!) as { tasks: Task[] }
const connectionString = process.env.DATABASE_URL!
// A lot of data has to be sent, perhaps on a slow machine.
const patient = { ...options, queryTimeoutMs: 600_000 }
const meow = await connect(theWay({ connectionString, ...patient }))

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
let seen = 0

function see({ data }: RecordedEvent, { eventBytes }: Task): void {
  if (data.text.length !== eventBytes) throw new Error('an event is not whole')
  seen++
}

async function iterate(store: Meow, task: Task): Promise<void> {
  for await (const event of store.iterate({ category: task.category }, { live: false })) see(event, task)
}

/** A handler for each selector, until all of them have had all events. */
async function handle(task: Task, selectors: Selector[], ms: number, maxInFlight: number): Promise<void> {
  const handlers = selectors.map((selector, i) => {
    let handled = 0
    let done = () => {}
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    const worker = meow
      .subscription(`${task.name} ${i}`, { ...selector, maxInFlight })
      .process(async (event) => {
        see(event, task)
        await pause(ms)
        if (++handled === task.events) done()
      })
    return { all, worker }
  })
  await Promise.all(handlers.map(({ worker }) => worker.ready))
  console.log('ready')
  await Promise.all(handlers.map(({ all }) => all))
  await Promise.all(handlers.map(({ worker }) => worker.stop()))
}

const ways = {
  iterate: (task: Task) => iterate(meow, task),
  'a lent pool': async (task: Task) => {
    const pool = new pg.Pool({ connectionString })
    const lent = await connect(theWay({ pool, ...patient }))
    await iterate(lent, task)
    await lent.close()
    await pool.end()
  },
  events: async (task: Task) => {
    const events = meow.events({ category: task.category }).pipe(
      tap((event) => see(event, task)),
      filter(() => seen === task.events),
    )
    await firstValueFrom(events)
  },
  read: async (task: Task) => {
    for (let after = 0, end = 1; after < end; ) {
      const { events, position, horizon } = await meow.read(
        { category: task.category },
        { after, limit: 1_000 },
      )
      for (const event of events) see(event, task)
      after = position
      end = horizon
    }
  },
  'read backward': async (task: Task) => {
    for (let until: number | undefined; until !== 0; ) {
      const { events, position } = await meow.read(
        { category: task.category },
        { direction: 'backward', ...(until ? { until } : {}) },
      )
      for (const event of events) see(event, task)
      until = position
    }
  },
  state: async (task: Task) => {
    const evolve = (count: number, event: RecordedEvent) => {
      see(event, task)
      return count + 1
    }
    await meow.state({ category: task.category, initial: 0, decide: () => [], evolve }, task.streamId)
  },
  process: (task: Task) => handle(task, [{ category: task.category }], 0, 1_000),
  'a slow handler': (task: Task) => handle(task, [{ category: task.category }], 10, 1_000),
  'five subscriptions': (task: Task) => {
    const { category, streamId } = task
    const selectors = [
      { category },
      { category: [category, 'another'] },
      { category, types: ['Happened'] },
      { category, types: ['Happened', 'Another'] },
      { category, streamId },
    ]
    return handle(task, selectors, 0, 1)
  },
  transactional: async (task: Task) => {
    let done = () => {}
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    const worker = meow.subscription(task.name, { category: task.category, maxInFlight: 1_000 }).process(
      async (event, { client }) => {
        await client.query('select 1')
        see(event, task)
        if (seen === task.events) done()
      },
      { transactional: true },
    )
    await all
    await worker.stop()
  },
  'deliveries that are kept': async (task: Task) => {
    const kept: Delivery[] = []
    const deliveries = meow
      .subscription(task.name, { category: task.category, maxInFlight: 1_000 })
      .deliveries()
    const subscription = deliveries.subscribe((delivery) => {
      see(delivery.event, task)
      kept.push(delivery)
    })
    while (seen < task.events) {
      const before = seen
      await pause(20)
      // No more events come: ack the deliveries.
      if (seen === before) for (const delivery of kept.splice(0)) delivery.ack().catch(() => {})
    }
    for (const delivery of kept.splice(0)) await delivery.ack()
    subscription.unsubscribe()
  },
  'a replay': async (task: Task) => {
    let done = () => {}
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    const worker = meow.subscription(task.name, { category: task.category }).process((event) => {
      see(event, task)
      if (seen === task.events) done()
    })
    await meow.replayParked(task.name)
    await all
    await worker.stop()
  },
  parked: async (task: Task) => {
    for (const { event } of await meow.parked(task.name, { limit: 1_000 })) see(event, task)
  },
  append: async ({ category, streamId, eventBytes, events }: Task) => {
    const text = 'x'.repeat(eventBytes)
    const list = Array.from({ length: events }, (_, i) => ({
      type: 'Happened',
      data: { text: `${i % 10}${text.slice(1)}` },
    }))
    seen = (await meow.append({ category, streamId }, list)).events.length
  },
} satisfies Record<string, (task: Task) => Promise<void>>

for (const task of tasks) {
  seen = 0
  await ways[task.how](task)
  const rssMb = Math.round(process.resourceUsage().maxRSS / 1024)
  console.log(JSON.stringify({ how: task.how, seen, rssMb }))
}
await meow.close()
