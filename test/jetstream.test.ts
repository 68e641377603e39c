// JetStream feeds the handlers of a subscription: each stream in order, failures wait, a stop drains. @direct
import { take, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { handle, SubscriptionMismatchError, ValidationError } from '../src/index.ts'
import type { JetStreamStatus } from '../src/relay/index.ts'
import { jetstream, RefusedError } from '../src/relay/index.ts'
import { assertHandled, consume, PARTITIONS, published } from './support/jetstream.ts'
import type { Nats } from './support/nats.ts'
import { findNats, startNats } from './support/nats.ts'
import { rejects } from './support/rejects.ts'
import { append } from './support/relays.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const program = findNats()
const fed = unless(!program && 'there is no nats-server here (Debian: apt-get install nats-server)', test)
let nats: Nats
let meow: Meow
test.before(async () => {
  if (!program) return
  nats = await startNats(program)
  meow = await openStore()
})
test.after(async () => {
  await closeAll()
  await nats?.stop()
})

fed('each event is handled, as the store has it, and each stream in order, whoever consumes', async () => {
  const { category, stream, events } = await published(nats, meow, 200)
  await using one = consume(nats, stream)
  await using two = consume(nats, stream)
  const seen: RecordedEvent[] = []
  const by = [0, 0]
  const start = (events: typeof one, n: number) =>
    events.subscription('all', { category, partitions: PARTITIONS }).process(
      async (event, { attempt, redelivered, signal }) => {
        assert.equal([attempt, redelivered, signal.aborted], [1, false, false])
        by[n]!++
        await new Promise((resolve) => setImmediate(resolve))
        seen.push(event)
      },
      { concurrency: 4 },
    )
  await using first = start(one, 0)
  await using second = start(two, 1)
  await Promise.all([first.ready, second.ready])
  const later = await append(meow, category, 100)
  await until(() => seen.length === 300, { what: 'all to be handled', timeoutMs: 20_000 })
  const last = seen.filter(({ id }) => !events.some((event) => event.id === id))
  assert.is(last.length, later.length)
  assertHandled(seen, [...events, ...later])
  const original = [...events, ...later].find(({ id }) => id === seen[0]!.id)
  assert.equal(seen[0], original, 'the event as the store has it')
  assert.ok(by[0]! > 0 && by[1]! > 0, `both took part: ${by}`)
})

fed(
  'only the types that are selected; zod categories convert; what is handled appends with its cause',
  async () => {
    const { category, stream } = await published(nats, meow, 30)
    await using events = consume(nats, stream)
    const mail = `${category}_mail`
    const ended = events.subscription('ended', { category, types: ['Ended'], partitions: PARTITIONS })
    const seen: RecordedEvent[] = []
    await using _ = ended.process(async (event) => {
      seen.push(event)
      if (seen.length === 1) await meow.append({ category: mail, streamId: '1' }, { type: 'Sent', data: {} })
    })
    await until(() => seen.length === 10, { what: 'the ten of this type' })
    assert.ok(seen.every(({ type }) => type === 'Ended'))
    const { events: sent } = await meow.read({ category: mail })
    assert.is(sent[0]!.metadata.causationId, seen[0]!.id)
  },
)

fed(
  'a failure is tried again, with the order of its stream; a handler may take longer than ackWaitMs',
  async () => {
    const { category, stream, events } = await published(nats, meow, 60)
    await using fed = consume(nats, stream)
    const attempts: number[] = []
    const seen: RecordedEvent[] = []
    await using _ = fed.subscription('failing', { category, partitions: PARTITIONS }).process(
      async (event, { attempt, redelivered }) => {
        if (event.streamId === '3' && event.version === 1) {
          attempts.push(attempt)
          assert.is(redelivered, attempt > 1)
          if (attempt < 3) throw new Error('not yet')
          await new Promise((resolve) => setTimeout(resolve, 2_200)) // ackWaitMs is 1000
        }
        seen.push(event)
      },
      { concurrency: 8, retry: { minDelayMs: 20, maxDelayMs: 50 } },
    )
    await until(() => seen.length === 60, { what: 'all to be handled', timeoutMs: 20_000 })
    assertHandled(seen, events)
    assert.equal(attempts, [1, 2, 3])
  },
)

fed('a stop waits for running handlers; the rest comes again elsewhere, and nothing is lost', async () => {
  const { category, stream, events } = await published(nats, meow, 100)
  await using fed = consume(nats, stream)
  const subscription = fed.subscription('stopped', { category, partitions: PARTITIONS })
  const seen: RecordedEvent[] = []
  let running = 0
  const handler = async (event: RecordedEvent) => {
    running++
    await new Promise((resolve) => setTimeout(resolve, 5))
    running--
    seen.push(event)
  }
  const worker = subscription.process(handler, { concurrency: 3 })
  await until(() => seen.length > 10, { what: 'some to be handled' })
  await worker.stop()
  await worker.done
  assert.is(running, 0)
  const before = seen.length
  assert.ok(before < 100, 'it was stopped in the middle')
  await using _ = subscription.process(handler, { concurrency: 3 })
  // nats-server 2.9 may send a message again that came back while nobody waited for it.
  await until(() => new Set(seen.map(({ id }) => id)).size === 100, { what: 'the rest' })
  assertHandled(seen, events)
})

fed('deliveries() and the operator handle', async () => {
  const { category, stream, events } = await published(nats, meow, 50)
  await using fed = consume(nats, stream)
  const subscription = fed.subscription('handled', { category, partitions: PARTITIONS })
  const handled = await new Promise<RecordedEvent[]>((resolve, reject) =>
    subscription
      .deliveries()
      .pipe(
        handle(() => {}, { concurrency: 4 }),
        take(50),
        toArray(),
      )
      .subscribe({ next: resolve, error: reject }),
  )
  assertHandled(handled, events)
})

fed('status$ tells the lag and what is held, and why it ended', async () => {
  const { category, stream } = await published(nats, meow, 40)
  await using fed = consume(nats, stream)
  const subscription = fed.subscription('watched', { category, partitions: PARTITIONS })
  const seen: JetStreamStatus[] = []
  const watching = subscription.status$.subscribe((status) => seen.push(status))
  assert.equal(seen, [{ state: 'stopped', lag: 0, inFlight: 0 }])
  let open = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const worker = subscription.process(() => gate, { concurrency: 2 })
  await until(() => seen.at(-1)!.lag === 40 && seen.at(-1)!.state === 'catching-up', { what: 'the lag' })
  await until(() => seen.at(-1)!.inFlight > 0, { what: 'what is held' })
  open()
  await until(() => seen.at(-1)!.lag === 0 && seen.at(-1)!.state === 'live', { what: 'no lag' })
  await worker.stop()
  await until(() => seen.at(-1)!.state === 'stopped', { what: 'the end' })
  const failing = subscription.process(
    () => {
      throw new Error('never')
    },
    { onExhausted: 'stop', retry: { maxAttempts: 1 } },
  )
  await append(meow, category, 1)
  assert.is((await rejects(failing.done, Error)).message, 'never')
  await until(() => seen.at(-1)!.error !== undefined, { what: 'the error' })
  watching.unsubscribe()
})

fed('what cannot be is refused, with one clear error', async () => {
  const { category, stream } = await published(nats, meow, 5)
  const invalid = (path: string, run: () => unknown) =>
    assert.throws(run, (error: unknown) => {
      assert.instance(error, ValidationError)
      assert.is((error as ValidationError).path, path)
      return true
    })
  invalid('options.stream', () => jetstream({} as any))
  invalid('options.stream', () => jetstream({ stream: 'a.b' }))
  invalid('options.create', () => jetstream({ stream: 'a', create: true } as any))
  invalid('options.ackWaitMs', () => jetstream({ stream: 'a', ackWaitMs: 1 }))
  invalid('options.prefix', () => jetstream({ stream: 'a', prefix: 'a..b' }))
  invalid('options.logger', () => jetstream({ stream: 'a', logger: {} as any }))
  await using fed = consume(nats, stream)
  invalid('name', () => fed.subscription('a b'))
  invalid('options.partitions', () => fed.subscription('a', { partitions: 0 }))
  invalid('options.category', () => fed.subscription('a', { category: undefined as any }))
  invalid('options.from', () => fed.subscription('a', { from: { after: 1 } as any }))
  invalid('options.streamId', () => fed.subscription('a', { streamId: '1' } as any))
  const subscription = fed.subscription('a', { category, partitions: PARTITIONS })
  invalid('handler', () => subscription.process(1 as any))
  invalid('options.transactional', () => subscription.process(() => {}, { transactional: true } as any))
  invalid('options.concurrency', () => subscription.process(() => {}, { concurrency: 0 }))

  const worker = subscription.process(() => {})
  await worker.ready
  const other = fed.subscription('a', { category, partitions: 4 }).process(() => {})
  await rejects(other.done, SubscriptionMismatchError)
  const uneven = fed.subscription('b', { category, partitions: 9 }).process(() => {})
  assert.match((await rejects(uneven.done, RefusedError)).message, 'subjectPartitions 8')
  await using nowhere = consume(nats, 'nowhere')
  const lost = nowhere.subscription('a', { partitions: 1 }).process(() => {})
  assert.match((await rejects(lost.ready, RefusedError)).message, 'there is no JetStream stream "nowhere"')
})

test.run()
