// The relay's partition of a stream is the store's own hash of it, and becomes part of the subject. @direct
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ValidationError } from '../src/index.ts'
import { natsBroker, relay } from '../src/relay/index.ts'
import { streamHash } from '../src/relay/stream-hash.ts'
import type { Nats } from './support/nats.ts'
import { findNats, startNats } from './support/nats.ts'
import { append, arrived, assertAll, setUp, startRelay } from './support/relays.ts'
import { closeAll, openStore, pgClient, storeSchema } from './support/store.ts'
import { unless } from './support/ways.ts'

const program = findNats()
const relayed = unless(!program && 'there is no nats-server here (Debian: apt-get install nats-server)', test)
let nats: Nats | undefined
test.before(async () => {
  if (program) nats = await startNats(program)
})
test.after(async () => {
  await closeAll()
  await nats?.stop()
})

test('the hash of a stream is that of PostgreSQL, for any name', async () => {
  await openStore()
  const client = await pgClient()
  const texts = ['a', '', 'ü', '💥🐈', 'x'.repeat(255), '\r\n\t%', '日本語のとても長い名前です']
  for (let length = 1; length < 40; length++) texts.push('order-42-é-'.repeat(4).slice(0, length))
  const pairs = texts.flatMap((category) => texts.map((streamId) => [category, streamId] as const))
  const { rows } = await client.query(
    `select c, s, "${storeSchema}".stream_hash(c, s)::int as hash from unnest($1::text[], $2::text[]) as t (c, s)`,
    [pairs.map(([category]) => category), pairs.map(([, streamId]) => streamId)],
  )
  assert.is(rows.length, pairs.length)
  for (const { c, s, hash } of rows) assert.is(streamHash(c, s), hash, `${c}/${s}`)
})

relayed('with subjectPartitions the partition stands between category and type', async () => {
  const meow = await openStore()
  const { category, stream } = await setUp(nats!)
  const events = await append(meow, category, 40)
  await using _ = startRelay(meow, category, nats!.url, { subjectPartitions: 8, partitions: 2 })
  await arrived(nats!, stream, 40)
  const seen = new Set<string>()
  for (const { subject, headers } of await assertAll(nats!, stream, events)) {
    const partition = streamHash(category, headers['Meowmx-Stream']!) % 8
    assert.is(subject, `meowmx.${category}.${partition}.${headers['Meowmx-Type']}`)
    assert.is(headers['Meowmx-Partitions'], '8')
    seen.add(`${partition}`)
  }
  assert.ok(seen.size > 1, 'more than one partition')
})

test('an invalid number of partitions is refused', async () => {
  const meow = await openStore()
  for (const subjectPartitions of [0, 1.5, 1_025, '8' as any])
    assert.throws(
      () => relay(meow, 'x', { category: 'x', broker: natsBroker(), subjectPartitions }),
      (error: unknown) => error instanceof ValidationError && error.path === 'options.subjectPartitions',
    )
})

test.run()
