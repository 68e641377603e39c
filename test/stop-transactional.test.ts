// transactional: stop() lets the running transaction commit and begins no other; no effect is lost or repeated.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { gate } from './support/gate.ts'
import { named } from './support/named.ts'
import { outcome } from './support/outcome.ts'
import { closeAll } from './support/store.ts'
import { openTransactional } from './support/transactional.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const { meow, given } = await openTransactional()
test.after(closeAll)

test('stop() lets the running transaction commit and begins no other; no event comes again', async () => {
  const { name, append, process, write, written } = await given()
  const events = await append('a', 10)
  const begun = gate()
  const going = gate()
  const worker = process(
    async (event, { client }) => {
      begun.open()
      await going.opened
      await write(event, client)
    },
    { batchSize: 4 },
  )
  await begun.opened
  const stopping = worker.stop()
  going.open()
  await stopping
  const done = (await written()).length
  assert.ok(done > 0 && done <= 4)
  const { position, owner } = await checkpoint(name)
  assert.equal([position, owner], [events[done - 1]!.position, null])
  const next = process((event, { client }) => write(event, client))
  await until(async () => (await written()).length === 10, { what: 'the rest' })
  await next.stop()
  assert.equal(
    await written(),
    upTo(10).map((n) => `a${n}`),
  )
})

test('stop() in the middle of a batch that has a failed event', async () => {
  const { process, append, write, written } = await given()
  const events: RecordedEvent[] = []
  for (const n of upTo(100)) events.push((await append(`s${n}_`))[0]!)
  const [begun, going] = [gate(), gate()]
  let calls = 0
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      // The second call is of the second run of the batch, which leaves the failed event out.
      if (event.position === events[9]!.position && ++calls === 2) {
        begun.open()
        await going.opened
      }
      if (event.position === events[10]!.position) throw new Error('no')
    },
    { retry: { minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  await begun.opened
  const stopping = worker.stop()
  going.open()
  await outcome(stopping)
  const next = process((event, { client }) => write(event, client))
  await until(async () => (await written()).length >= 100, { what: 'the rest' })
  await next.stop()
  assert.equal((await written()).sort(), events.map(named).sort())
})

test('an attempt is not counted if the handler gives up because of stop()', async () => {
  const { name, append, process, write, hasWritten } = await given()
  await append('a', 2)
  for (const _ of upTo(2)) {
    const begun = gate()
    const worker = process(
      async (_, { signal, attempt }) => {
        assert.is(attempt, 1)
        begun.open()
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
      { retry: { maxAttempts: 1 } },
    )
    await begun.opened
    await worker.stop()
    await worker.done
  }
  assert.equal(await meow.parked(name), [])
  const worker = process((event, { client, attempt }) => {
    assert.is(attempt, 1)
    return write(event, client)
  })
  await hasWritten(2)
  await worker.stop()
})

test.run()
