import * as assert from 'uvu/assert'
import type { StreamWrite } from '../../src/index.ts'
import { ValidationError } from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import { until } from '../support/until.ts'
import type { Contract } from './contract.ts'
import { pass } from './contract.ts'

/** Timers: each appends once, in order, not early. */
export const timing: Contract = (test, store) => {
  const given = () => {
    const stream = { category: uniqueName('timed'), streamId: 's' }
    const write = (type = 'Rang'): StreamWrite => ({ stream, events: { type, data: { n: 1 } } })
    const types = async () => (await store().load(stream)).map(({ type }) => type)
    return { stream, key: uniqueName('key'), write, types }
  }

  test('schedule: appends once, not before its time', async () => {
    const { stream, key, write, types } = given()
    await using _worker = store().runTimers()
    await store().schedule(key, { inMs: 150 }, write())
    const [timer, ...more] = await store().scheduled({ prefix: key })
    assert.is(more.length, 0)
    assert.equal([timer!.key, timer!.stream], [key, stream])
    assert.equal(timer!.events, [{ type: 'Rang', data: { n: 1 } }])
    assert.equal(await types(), [])
    await pass(store(), 150)
    await until(async () => (await types()).length > 0, { what: 'the timer' })
    const [event, second] = await store().load(stream)
    assert.is(second, undefined)
    assert.ok(event!.recordedAt >= timer!.due)
    assert.equal(await store().scheduled({ prefix: key }), [])
  })

  test('schedule: in the order of due times; the same key replaces; unschedule deletes', async () => {
    const { key, write, types } = given()
    await store().schedule(`${key}1`, { inMs: 90 }, write('Third'))
    await store().schedule(`${key}2`, { inMs: 60 }, write('Second'))
    await store().schedule(`${key}3`, { inMs: 3_600_000 }, write('Replaced'))
    await store().schedule(`${key}3`, new Date(Date.now() - 60_000), write('First'))
    await store().schedule(`${key}4`, { inMs: 30 }, write('Never'))
    assert.is(await store().unschedule(`${key}4`), true)
    assert.is(await store().unschedule(`${key}4`), false)
    assert.equal(
      (await store().scheduled({ prefix: key })).map((timer) => timer.key),
      [`${key}3`, `${key}2`, `${key}1`],
    )
    await using _worker = store().runTimers()
    await pass(store(), 100)
    await until(async () => (await types()).length === 3, { what: 'all timers' })
    assert.equal(await types(), ['First', 'Second', 'Third'])
  })

  test('schedule: the same key and events, one after the other, append twice', async () => {
    const { key, write, types } = given()
    await using _worker = store().runTimers()
    for (const count of [1, 2]) {
      await store().schedule(key, { inMs: 0 }, write())
      await until(async () => (await types()).length === count, { what: `timer ${count}` })
    }
    assert.equal(await types(), ['Rang', 'Rang'])
  })

  test('schedule: any worker fires timers; without one they wait', async () => {
    const { key, stream, write, types } = given()
    await store().schedule(key, { inMs: 0 }, write())
    assert.equal(await types(), [])
    await using _worker = store()
      .subscription(uniqueName('sub'), { category: `${stream.category}-none` })
      .process(() => {})
    await until(async () => (await types()).length === 1, { what: 'the timer' })
  })

  test('schedule: a conflict stays visible, and delays no other timer', async () => {
    const { key, stream, write, types } = given()
    await store().append(stream, { type: 'First', data: {} })
    await store().schedule(`${key}1`, { inMs: 0 }, { ...write('Bad'), expectedVersion: 'no-stream' })
    await store().schedule(`${key}2`, { inMs: 1 }, write('Good'))
    await using _worker = store().runTimers()
    await pass(store(), 1)
    await until(async () => (await types()).length === 2, { what: 'the good one' })
    await until(async () => (await store().scheduled({ prefix: key }))[0]?.failure, { what: 'the failure' })
    const [timer, ...more] = await store().scheduled({ prefix: key })
    assert.is(more.length, 0)
    assert.equal([timer!.expectedVersion, timer!.failure!.attempts], ['no-stream', 1])
    assert.is(timer!.failure!.retryAt, null)
    assert.match(timer!.failure!.error, 'VersionConflictError')
    assert.equal(await types(), ['First', 'Good'])
    await store().unschedule(`${key}1`)
  })

  test('schedule: bad input is refused with its path', async () => {
    const { key, write } = given()
    const cases: [() => Promise<unknown>, string][] = [
      [() => store().schedule('', { inMs: 1 }, write()), 'key'],
      [() => store().schedule(key, { inMs: -1 }, write()), 'due.inMs'],
      [() => store().schedule(key, new Date(Number.NaN), write()), 'due'],
      [() => store().schedule(key, { inMs: 1 }, { ...write(), events: [] }), 'write.events'],
      [() => store().unschedule(''), 'key'],
      [() => store().scheduled({ limit: 0 }), 'options.limit'],
    ]
    for (const [call, path] of cases) assert.is((await rejects(call(), ValidationError)).path, path)
    assert.equal(await store().scheduled({ prefix: key }), [])
  })
}
