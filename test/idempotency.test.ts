// The same ids are written once, and a repeat gets the result of the first call.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ExpectedVersion, NewEvent } from '../src/index.ts'
import { DuplicateEventError, ValidationError, VersionConflictError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'

const meow = await openStore({ listen: false })
const other = await openStore({ listen: false })
const third = await openStore({ listen: false })
const newStream = () => ({ category: uniqueName('again'), streamId: 'a' })
const newEvent = (data: unknown = { n: 1 }): NewEvent & { id: string } => ({
  id: crypto.randomUUID(),
  type: 'T',
  data,
})
test.after(closeAll)

test('again with the same id: the first result, deduplicated', async () => {
  const stream = newStream()
  const event = newEvent()
  const first = await meow.append(stream, event)
  assert.is(first.deduplicated, false)
  assert.is(first.events[0]!.id, event.id)
  await meow.append(stream, { type: 'Later', data: null })
  for (const store of [meow, other]) {
    assert.equal(await store.append(stream, event), { ...first, deduplicated: true })
    assert.equal(await store.append(stream, [event]), { ...first, deduplicated: true })
  }
  assert.is((await meow.load(stream)).length, 2)
})

test('several ids, all of them known', async () => {
  const stream = newStream()
  const events = [newEvent(1), newEvent(2), newEvent(3)]
  const first = await meow.append(stream, events)
  await meow.append(stream, { type: 'Later', data: null })
  assert.equal(await meow.append(stream, events), { ...first, deduplicated: true })
})

const modes: ExpectedVersion[] = ['any', 'no-stream', 'stream-exists', -1, 0, 1, 99]
for (const expectedVersion of modes) {
  test(`in the mode ${expectedVersion}`, async () => {
    const stream = newStream()
    await meow.append(stream, { type: 'Before', data: null })
    const event = newEvent()
    const first = await meow.append(stream, event)
    assert.equal(await meow.append(stream, event, { expectedVersion }), { ...first, deduplicated: true })
    assert.is((await meow.load(stream)).length, 2)
  })
}

test('key order, metadata and the case of the id make no difference', async () => {
  const stream = newStream()
  const event = { ...newEvent({ a: 1, b: [{ c: 2, d: 3.5 }], e: 'é' }), metadata: { try: 1 } }
  const first = await meow.append(stream, event)
  for (const again of [
    { ...event, data: { e: 'é', b: [{ d: 3.5, c: 2 }], a: 1 } },
    { ...event, data: { ...(event.data as object), gone: undefined } },
    { ...event, metadata: { try: 2 } },
    { id: event.id, type: event.type, data: event.data },
    { ...event, id: event.id.toUpperCase() },
  ]) {
    assert.equal(await meow.append(stream, again), { ...first, deduplicated: true })
  }
  const upper = newEvent()
  upper.id = upper.id.toUpperCase()
  const { events } = await meow.append(stream, upper)
  assert.is(events[0]!.id, upper.id.toLowerCase())
})

test('null as data', async () => {
  const stream = newStream()
  const event = newEvent(null)
  const first = await meow.append(stream, event)
  assert.equal(await meow.append(stream, event), { ...first, deduplicated: true })
  await rejects(meow.append(stream, { ...event, data: 0 }), DuplicateEventError)
})

test('used otherwise: DuplicateEventError, and nothing is written', async () => {
  const stream = newStream()
  const event = newEvent({ a: [1, 2] })
  await meow.append(stream, event)
  const elsewhere = { ...stream, streamId: 'b' }
  const cases: [typeof stream, NewEvent][] = [
    [elsewhere, event],
    [{ category: uniqueName('again'), streamId: 'a' }, event],
    [stream, { ...event, type: 'U' }],
    [stream, { ...event, data: { a: [2, 1] } }],
    [stream, { ...event, data: { a: [1, 2], b: null } }],
    [stream, { ...event, data: null }],
  ]
  for (const [where, again] of cases) {
    for (const expectedVersion of ['any', 'no-stream', 0] as const) {
      const error = await rejects(meow.append(where, again, { expectedVersion }), DuplicateEventError)
      assert.is(error.id, event.id)
      assert.equal(error.stream, where)
      for (const value of [event.id, where.category, where.streamId])
        assert.ok(error.message.includes(value), error.message)
    }
  }
  assert.is((await meow.load(stream)).length, 1)
  assert.equal(await meow.load(elsewhere), [])
})

test('only some of the ids known: DuplicateEventError', async () => {
  const stream = newStream()
  const [known, fresh] = [newEvent(1), newEvent(2)]
  await meow.append(stream, known)
  for (const events of [
    [known, fresh],
    [fresh, known],
    [known, { type: 'T', data: 'without an id' }],
  ]) {
    const error = await rejects(meow.append(stream, events), DuplicateEventError)
    assert.is(error.id, known.id)
  }
  assert.is((await meow.load(stream)).length, 1)
})

test('appendAll: all ids known returns the first result, only some of them are refused', async () => {
  const [a, b] = [newStream(), newStream()]
  const [one, two, fresh] = [newEvent(1), newEvent(2), newEvent(3)]
  const writes = [
    { stream: a, events: one },
    { stream: b, events: [two] },
  ]
  const first = await meow.appendAll(writes)
  assert.equal(
    await meow.appendAll(writes),
    first.map((result) => ({ ...result, deduplicated: true })),
  )
  for (const events of [fresh, { type: 'T', data: 'without an id' }]) {
    const error = await rejects(meow.appendAll([writes[0]!, { stream: b, events }]), DuplicateEventError)
    assert.is(error.id, one.id)
  }
  assert.is((await meow.load(b)).length, 1)
})

test('a conflict leaves the id free', async () => {
  const stream = newStream()
  const event = newEvent()
  await rejects(meow.append(stream, event, { expectedVersion: 3 }), VersionConflictError)
  assert.is((await meow.append(stream, event)).deduplicated, false)
})

test('one id twice in a call is a ValidationError', async () => {
  const stream = newStream()
  const event = newEvent()
  const twice = { ...event, id: event.id.toUpperCase() }
  const error = await rejects(meow.append(stream, [event, twice]), ValidationError)
  assert.is(error.path, 'events[1].id')
  assert.ok(error.message.includes(event.id))
  const all = meow.appendAll([
    { stream, events: event },
    { stream: newStream(), events: [newEvent(), twice] },
  ])
  assert.is((await rejects(all, ValidationError)).path, 'writes[1].events[1].id')
  assert.equal(await meow.load(stream), [])
})

test('the same id at once, from one process and from two: written once, and every call gets the result', async () => {
  for (let round = 0; round < 10; round++) {
    const stream = newStream()
    const events = [newEvent(round), newEvent('two')]
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        (i % 2 ? meow : other).append(stream, round % 2 ? events : events[0]!),
      ),
    )
    const { deduplicated, ...first } = results.find((result) => !result.deduplicated)!
    assert.is(deduplicated, false)
    assert.is(results.filter((result) => !result.deduplicated).length, 1)
    for (const result of results) assert.equal({ ...first, deduplicated: result.deduplicated }, result)
    assert.equal(await meow.load(stream), first.events)
  }
})

test('the same id at once with an expected version: the others find it, and no conflict', async () => {
  for (let round = 0; round < 60; round++) {
    const stream = newStream()
    const event = newEvent(round)
    const results = await Promise.all(
      [meow, other, third].map((store) => store.append(stream, event, { expectedVersion: 'no-stream' })),
    )
    assert.equal(results.map(({ deduplicated }) => deduplicated).sort(), [false, true, true])
  }
})

test('the same id at once for different streams: one is written, the others get an error', async () => {
  for (let round = 0; round < 10; round++) {
    const event = newEvent(round)
    const { category } = newStream()
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) =>
        (i % 2 ? meow : other).append({ category, streamId: `s${i}` }, event),
      ),
    )
    assert.is(results.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const result of results)
      if (result.status === 'rejected') assert.instance(result.reason, DuplicateEventError)
    assert.is((await meow.read({ category })).events.length, 1)
  }
})

test.run()
