import { jetstream } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import { natsBroker, relay } from 'meowmx/relay'
import { toMessage } from '../../src/relay/message.ts'
import { addStream, countOf, findNats, startNats } from '../support/nats.ts'
import { until } from '../support/until.ts'
import { fill } from './catch-up.ts'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'

const EVENTS = 50_000
const WINDOW = 256

/** 50,000 events to JetStream, 256 in flight, one partition, against the NATS client with the same messages and nothing else. */
export async function relaying(setting: Setting): Promise<Sample[]> {
  const program = findNats()
  if (!program) return []
  const nats = await startNats(program)
  const place = await setting.database()
  const meow = await place.store()
  try {
    await fill(place, EVENTS, 'meowmx.events') // ten of a stream in a row
    await place.query(
      `insert into meowmx.events (version, category, stream_id, type, data)
       select g / 1000, 'spread', g % 1000, 'Evt', e.data from generate_series(0, ${EVENTS - 1}) g join meowmx.events e on e.position = g + 1 order by g`,
    )
    const speed = async (category: string) => {
      await addStream(nats, { name: category, subjects: [`meowmx.${category}.>`] })
      const broker = natsBroker({ servers: nats.url, stream: category })
      const begin = performance.now()
      await using relayed = relay(meow, category, { category, broker, window: WINDOW })
      await until(() => relayed.published >= EVENTS, { timeoutMs: 120_000, what: 'all to be published' })
      return EVENTS / ((performance.now() - begin) / 1000)
    }
    const plain = async () => {
      await addStream(nats, { name: 'plain', subjects: ['plain.>'] })
      const connection = await connect({ servers: nats.url, noAsyncTraces: true })
      const client = jetstream(connection)
      const { events } = await meow.read({ category: 'spread' }, { limit: 512 })
      const begin = performance.now()
      let next = 0
      const lane = async () => {
        for (let n = next++; n < EVENTS; n = next++) {
          const { subject, body, headers: all } = toMessage(events[n % events.length]!, 'plain')
          const made = headers()
          for (const [name, value] of Object.entries(all)) made.set(name, value)
          await client.publish(subject, body, { msgID: `${n}`, headers: made })
        }
      }
      await Promise.all(Array.from({ length: WINDOW }, lane))
      const rate = EVENTS / ((performance.now() - begin) / 1000)
      await connection.close()
      return rate
    }
    const limit = await plain()
    const samples = [
      { what: 'relay to JetStream, streams spread', unit: '/s', ours: await speed('spread'), limit },
      { what: 'relay to JetStream, ten of a stream in a row', unit: '/s', ours: await speed('order'), limit },
    ]
    for (const category of ['spread', 'order'])
      if ((await countOf(nats, category)) !== EVENTS) throw new Error(`not all of ${category} are there`)
    return samples
  } finally {
    await meow.close()
    await nats.stop()
  }
}
