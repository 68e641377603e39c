// The same handler, fed by PostgreSQL and by NATS JetStream: one line is different. It needs a nats-server, at NATS_URL.
import { connect, type RecordedEvent } from 'meowmx'
import { jetstream, natsBroker, relay } from 'meowmx/relay'

await using meow = await connect({ connectionString: process.env.DATABASE_URL! })
await meow.migrate()
const servers = process.env.NATS_URL ?? 'nats://127.0.0.1:4222'

// Written for PostgreSQL. It knows nothing about where its events come from.
const packed: string[] = []
const pack = async (event: RecordedEvent, { attempt }: { attempt: number }) => {
  if (event.data.content === 'vase' && attempt === 1) throw new Error('slipped')
  packed.push(`${event.streamId}: ${event.data.content}, attempt ${attempt}`)
}

for (const [streamId, contents] of [
  ['today', ['book', 'vase', 'lamp']],
  ['tomorrow', ['sofa']],
] as const)
  await meow.append(
    { category: 'parcel', streamId },
    contents.map((content) => ({ type: 'Sent', data: { content } })),
  )

const inPostgres = meow.subscription('packing', { category: 'parcel' })
await run('PostgreSQL', () => inPostgres.process(pack, { retry: { minDelayMs: 10 } }))

await using relaying = relay(meow, 'parcels-to-nats', {
  category: 'parcel',
  subjectPartitions: 64,
  broker: natsBroker({ servers, stream: 'PARCELS', create: true }),
})
await relaying.ready

await using events = jetstream({ servers, stream: 'PARCELS' })
const inJetStream = events.subscription('packing', { category: 'parcel' })
await run('JetStream', () => inJetStream.process(pack, { retry: { minDelayMs: 10 } }))

async function run(where: string, start: () => AsyncDisposable): Promise<void> {
  packed.length = 0
  await using _ = start()
  while (packed.length < 4) await new Promise((resolve) => setTimeout(resolve, 10))
  console.log(where)
  for (const line of packed.toSorted()) console.log(`  ${line}`)
}

// Output:
// PostgreSQL
//   today: book, attempt 1
//   today: lamp, attempt 1
//   today: vase, attempt 2
//   tomorrow: sofa, attempt 1
// JetStream
//   today: book, attempt 1
//   today: lamp, attempt 1
//   today: vase, attempt 2
//   tomorrow: sofa, attempt 1
