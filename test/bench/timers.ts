// How late timers fire on a quiet machine, and how many a second if 10,000 are due at once:
// `node --import ./test/support/typescript.js test/bench/timers.ts`
import { setTimeout as delay } from 'node:timers/promises'
import { startPostgres } from '../../src/embedded/index.ts'
import { connect } from '../../src/index.ts'
import { upTo } from '../support/up-to.ts'

const server = await startPostgres()
const meow = await connect({ connectionString: server.connectionString })
await meow.migrate()
const stream = { category: 'timer', streamId: 's' }
const worker = meow.runTimers()
await worker.ready
const base = Date.now() + 1_500
await Promise.all(
  upTo(500).map((n) => {
    const due = new Date(base + n * 20)
    return meow.schedule(`late-${n}`, due, { stream, events: { type: 'Rang', data: { due: due.getTime() } } })
  }),
)
while ((await meow.head(stream)) < 499) await delay(100)
const late = (await meow.load(stream)).map(({ data, recordedAt }) => recordedAt.getTime() - data.due)
late.sort((a, b) => a - b)
console.log(
  `500 timers, one each 20 ms: late by p50 ${late[250]} ms, p99 ${late[495]} ms, most ${late[499]} ms`,
)
await worker.stop()

for (let from = 0; from < 10_000; from += 500)
  await Promise.all(
    upTo(500).map((n) =>
      meow.schedule(`many-${from + n}`, new Date('2020-01-01'), {
        stream: { category: 'many', streamId: String((from + n) % 100) },
        events: { type: 'Rang', data: {} },
      }),
    ),
  )
const began = performance.now()
const again = meow.runTimers()
while ((await meow.scheduled({ limit: 1 })).length > 0) await delay(20)
const seconds = (performance.now() - began) / 1_000
console.log(`10,000 timers due at once: ${Math.round(10_000 / seconds)}/s`)
await again.stop()
await meow.close()
await server.stop()
