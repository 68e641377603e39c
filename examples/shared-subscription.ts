// Two processes share a subscription: its partitions are spread over them, each stream is one's alone, and when one goes
// the other takes over. This file is both: run as it is it starts itself twice, as executors.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'meowmx'
import { openDatabase } from './support/database.ts'

const [, file, role] = process.argv
if (role === 'executor') await execute(process.env.EXAMPLE_DATABASE!)
else await share()

/** One executor, until its parent lets it go. */
async function execute(connectionString: string): Promise<void> {
  await using meow = await connect({ connectionString })
  const worker = meow
    .subscription('packing', { category: 'parcel', partitions: 4 })
    .process(({ streamId, version }) => process.send!({ streamId, version }))
  await once(process, 'disconnect')
  await worker.stop() // finishes its deliveries, and releases its partitions
}

async function share(): Promise<void> {
  await using database = await openDatabase()
  await using meow = await connect(database)
  await meow.migrate()

  const handled: { by: number; streamId: string; version: number }[] = []
  const executors = [1, 2].map((by) => {
    const env = { ...process.env, EXAMPLE_DATABASE: database.connectionString }
    const child = fork(file!, ['executor'], { env })
    return child.on('message', (event: { streamId: string; version: number }) =>
      handled.push({ by, ...event }),
    )
  })
  /** Waits until the partitions are shared so, and says it. */
  const shared = async (...expected: number[]) => {
    for (let shares = ''; shares !== `${expected}`; await delay(50)) {
      const [packing] = await meow.subscriptions()
      const owners = packing?.partitions.map(({ owner }) => owner) ?? []
      if (owners.includes(null)) continue
      shares = `${[...new Set(owners)].map((owner) => owners.filter((it) => it === owner).length)}`
    }
    console.log('partitions of each executor:', expected.join(' and '))
  }
  /** Appends two events to each of 20 streams, and waits until they are handled. */
  const pack = async () => {
    const events = [
      { type: 'Packed', data: {} },
      { type: 'Sent', data: {} },
    ]
    const before = handled.length
    for (let n = 0; n < 20; n++) await meow.append({ category: 'parcel', streamId: `${n}` }, events)
    while (handled.length < before + 40) await delay(20)
    return handled.slice(before)
  }

  await shared(2, 2)
  const first = await pack()
  const streams = groupByStream(first)
  const alone = [...streams.values()].every((events) => new Set(events.map(({ by }) => by)).size === 1)
  console.log(`${first.length} events handled, each stream by one executor: ${alone}`)
  console.log('executors at work:', new Set(first.map(({ by }) => by)).size)

  executors[0]!.disconnect()
  await once(executors[0]!, 'exit')
  await shared(4)
  const second = await pack()
  console.log(`${second.length} events handled, executors at work:`, new Set(second.map(({ by }) => by)).size)
  const inOrder = [...groupByStream(handled).values()].every((events) =>
    events.every(({ version }, i) => version === i),
  )
  console.log(`each stream in order, nothing twice: ${inOrder}`)

  executors[1]!.disconnect()
  await once(executors[1]!, 'exit')
}

function groupByStream<T extends { streamId: string }>(events: T[]): Map<string, T[]> {
  const streams = new Map<string, T[]>()
  for (const event of events) streams.set(event.streamId, [...(streams.get(event.streamId) ?? []), event])
  return streams
}

// Output:
// partitions of each executor: 2 and 2
// 40 events handled, each stream by one executor: true
// executors at work: 2
// partitions of each executor: 4
// 40 events handled, executors at work: 1
// each stream in order, nothing twice: true
