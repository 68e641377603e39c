import * as assert from 'uvu/assert'
import type { ProcessManager, RecordedEvent } from '../../src/index.ts'
import { defineProcessManager, SubscriptionNotFoundError } from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import { until } from '../support/until.ts'
import type { Contract } from './contract.ts'
import { pass } from './contract.ts'

/** Process managers: state, timers and what is appended change together. */
export const running: Contract = (test, store) => {
  const given = <S>(
    definition: Pick<ProcessManager<string, S>, 'react' | 'initial'> & Partial<ProcessManager<string, S>>,
  ) => {
    const category = uniqueName('in')
    const manager = defineProcessManager<string, S>({
      name: uniqueName('pm'),
      category,
      correlate: (event) => event.streamId,
      outage: false,
      ...definition,
    })
    const append = (streamId: string, type: string) =>
      store().append({ category, streamId }, { type, data: {} })
    const instance = async (id: string) => (await store().processInstances(manager.name, { id }))[0]
    return { category, manager, append, instance }
  }
  let out = { category: '', streamId: 'out' }
  const types = async () => (await store().load(out)).map(({ type }) => type)
  test.before.each(() => {
    out = { category: uniqueName('out'), streamId: 'out' }
  })

  test('process manager: a deadline is kept, or missed; an ended instance ignores what comes later', async () => {
    const { manager, append, instance } = given({
      initial: { paid: false },
      react: (state, input, { append, schedule, cancel, end }) => {
        if (input.name === 'late')
          return { state, effects: [append(out, { type: 'Cancelled', data: {} }), end()] }
        if (input.type === 'Placed') return { state, effects: [schedule('late', { inMs: 200 })] }
        return { state: { paid: true }, effects: [cancel('late'), end()] }
      },
    })
    await using _worker = store().runProcessManager(manager)
    const { events: placed } = await append('a', 'Placed')
    await append('b', 'Placed')
    await store().waitFor(manager.name, (await append('b', 'Paid')).position)
    assert.equal(
      (await instance('a'))!.timers.map(({ name }) => name),
      ['late'],
    )
    assert.equal(await types(), [])
    await pass(store(), 1_000)
    await until(async () => (await types()).length > 0, { what: 'the deadline' })
    const [event, ...more] = await store().load(out)
    assert.is(more.length, 0)
    assert.equal([event!.metadata.causationId, event!.metadata.correlationId], [placed[0]!.id, placed[0]!.id])
    assert.ok(event!.recordedAt.getTime() - placed[0]!.recordedAt.getTime() >= 200)
    await store().waitFor(manager.name, (await append('a', 'Paid')).position)
    for (const [id, paid] of [
      ['a', false],
      ['b', true],
    ] as const) {
      const { state, ended, timers } = (await instance(id))!
      assert.equal({ state, ended, timers }, { state: { paid }, ended: true, timers: [] })
    }
  })

  test('process manager: an input that fails changes nothing, is tried again, and is parked in the end', async () => {
    let failing = true
    const { manager, append, instance } = given({
      initial: { n: 0 },
      retry: { maxAttempts: 2, minDelayMs: 0, maxDelayMs: 0 },
      react: ({ n }, input, { append }) => {
        const effects = [append(out, { type: input.type, data: {} })]
        const refused = append(out, { type: 'Refused', data: {} }, { expectedVersion: 77 })
        return { state: { n: n + 1 }, effects: failing ? [...effects, refused] : effects }
      },
    })
    await using _worker = store().runProcessManager(manager)
    const first = await append('a', 'One')
    await store().waitFor(manager.name, first.position)
    assert.equal(await types(), [])
    assert.is(await instance('a'), undefined)
    const [parked] = await store().parked(manager.name)
    assert.equal([parked!.event.id, parked!.attempts], [first.events[0]!.id, 2])
    assert.match(parked!.error!, 'VersionConflictError')
    failing = false
    await store().replayParked(manager.name)
    await until(async () => (await types()).length === 1, { what: 'the replay' })
    assert.equal((await instance('a'))!.state, { n: 1 })
  })

  test('process manager: a timer whose input fails is kept as failed', async () => {
    const { manager, append, instance } = given({
      initial: null,
      retry: { maxAttempts: 2, minDelayMs: 0, maxDelayMs: 0 },
      react: (state, input, { schedule }) => {
        if (input.type === '$timer') throw new Error('on purpose')
        return { state, effects: [schedule('t', { inMs: 10 })] }
      },
    })
    await using _worker = store().runProcessManager(manager)
    await store().waitFor(manager.name, (await append('a', 'One')).position)
    await pass(store(), 100)
    await until(async () => (await instance('a'))!.timers[0]?.failure?.retryAt === null, {
      what: 'the failure',
    })
    const { failure } = (await instance('a'))!.timers[0]!
    assert.is(failure!.attempts, 2)
    assert.match(failure!.error, 'on purpose')
  })

  test('process manager: a timer that schedules itself comes at each of its times; the same name replaces', async () => {
    const { manager, append } = given({
      initial: { n: 0 },
      react: ({ n }, input, { append, schedule, end }) => {
        if (input.type !== '$timer')
          return { state: { n }, effects: [schedule('t', { inMs: 3_600_000 }), schedule('t', { inMs: 20 })] }
        const ring = append(out, { type: `Ring${n}`, data: {} })
        return { state: { n: n + 1 }, effects: n === 2 ? [ring, end()] : [ring, schedule('t', { inMs: 20 })] }
      },
    })
    await using _worker = store().runProcessManager(manager)
    await append('a', 'One')
    await pass(store(), 1_000)
    await until(async () => (await types()).length === 3, { what: 'three rings' })
    assert.equal(await types(), ['Ring0', 'Ring1', 'Ring2'])
  })

  test('process manager: the state of an older version is migrated', async () => {
    const old = given({ initial: { a: 1 }, react: (state) => ({ state }) })
    const first = store().runProcessManager(old.manager)
    await store().waitFor(old.manager.name, (await old.append('a', 'One')).position)
    await first.stop()
    const next = defineProcessManager<string, { b: number }>({
      ...(old.manager as any),
      initial: { b: 0 },
      version: 2,
      migrate: ({ a }, version) => ({ b: a * 10 + version }),
      react: (state: { b: number }, input: RecordedEvent) => ({ state: { ...state, saw: input.type } }),
    })
    await using _worker = store().runProcessManager(next)
    await store().waitFor(next.name, (await old.append('a', 'Two')).position)
    assert.equal((await old.instance('a'))!.state, { b: 11, saw: 'Two' })
  })

  test('process manager: an event without an instance is skipped; a process manager that never ran is an error', async () => {
    const { manager, append } = given({ initial: 0, correlate: () => null, react: (state) => ({ state }) })
    await rejects(store().processInstances(manager.name), SubscriptionNotFoundError)
    await using worker = store().runProcessManager(manager)
    await worker.ready
    await store().waitFor(manager.name, (await append('a', 'One')).position)
    assert.equal(await store().processInstances(manager.name), [])
  })
}
