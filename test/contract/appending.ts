import * as assert from 'uvu/assert'
import type { ExpectedVersion, NewEvent, StreamRef, StreamWrite } from '../../src/index.ts'
import { DuplicateEventError, ValidationError, VersionConflictError, withMetadata } from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import type { Contract } from './contract.ts'

const newStream = () => ({ category: uniqueName('append'), streamId: 'a' })
const event = (data: unknown = null) => ({ type: 'T', data })
const withId = (data: unknown = { n: 1 }): NewEvent & { id: string } => ({
  ...event(data),
  id: crypto.randomUUID(),
})
const nothing = { events: [], version: -1, position: 0, deduplicated: false }

export const appending: Contract = (test, store) => {
  test('append: the result is what load returns; versions are dense, and positions rise', async () => {
    const stream = newStream()
    const before = Date.now()
    const first = await store().append(stream, { type: 'Placed', data: { price: 9 }, metadata: { by: 'me' } })
    const [one] = first.events
    const { id, position, recordedAt } = one!
    assert.equal(first, { events: [one], version: 0, position, deduplicated: false })
    assert.equal(one, {
      ...{ id, ...stream, version: 0, position, type: 'Placed' },
      ...{ data: { price: 9 }, metadata: { by: 'me' }, tags: [], recordedAt },
    })
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.instance(recordedAt, Date)
    assert.ok(Math.abs(recordedAt.getTime() - before) < 60_000)
    const two = await store().append(stream, [event(1), { ...event(2), type: 'U' }])
    const three = await store().append(stream, [event(3), event(4), event(5)])
    assert.equal([two.version, three.version], [2, 5])
    const events = [first, two, three].flatMap((result) => result.events)
    assert.equal(
      events.map(({ version, type }) => [version, type]),
      ['Placed', 'T', 'U', 'T', 'T', 'T'].map((type, version) => [version, type]),
    )
    assert.equal([two.position, three.position], [events[2]!.position, events[5]!.position])
    const positions = events.map((one) => one.position)
    for (const [i, position] of positions.slice(1).entries()) assert.ok(position > positions[i]!)
    assert.equal(await store().load(stream), events)
  })

  test('append: positions rise over all streams of the store', async () => {
    const [a, b] = [newStream(), newStream()]
    let last = 0
    for (const stream of [a, b, a, b]) {
      const { position } = await store().append(stream, event())
      assert.ok(position > last)
      last = position
    }
  })

  // For each expectedVersion: whether a stream without events accepts it, and whether a stream whose last event has version 1
  // does.
  const modes: [ExpectedVersion | undefined, empty: boolean, two: boolean][] = [
    [undefined, true, true],
    ['any', true, true],
    ['no-stream', true, false],
    ['stream-exists', false, true],
    [-1, true, false],
    [0, false, false],
    [1, false, true],
    [2, false, false],
    [2_147_483_647, false, false],
  ]
  for (const [expectedVersion, empty, two] of modes) {
    test(`append: expectedVersion ${expectedVersion}`, async () => {
      const options = expectedVersion === undefined ? {} : { expectedVersion }
      for (const existing of [0, 2]) {
        const stream = newStream()
        await store().append(stream, Array.from({ length: existing }, event))
        const appended = store().append(stream, event(), options)
        if (existing === 0 ? empty : two) {
          assert.is((await appended).version, existing)
        } else {
          const error = await rejects(appended, VersionConflictError)
          assert.equal([error.stream, error.expected, error.actual], [stream, expectedVersion, existing - 1])
          for (const value of [
            stream.category,
            stream.streamId,
            String(expectedVersion),
            String(existing - 1),
          ])
            assert.ok(error.message.includes(value), error.message)
          assert.is((await store().load(stream)).length, existing)
        }
        // An empty list writes nothing, and its expectedVersion is not checked.
        const events = await store().load(stream)
        const last = events.at(-1)
        const stands = { version: last?.version ?? -1, position: last?.position ?? 0 }
        assert.equal(await store().append(stream, [], options), { ...nothing, ...stands })
        assert.equal(await store().append(stream, [], { expectedVersion: 7 }), { ...nothing, ...stands })
        assert.equal(await store().load(stream), events)
      }
    })

    test(`append: the same id again, with expectedVersion ${expectedVersion}`, async () => {
      const stream = newStream()
      const [one, two] = [withId(1), withId(2)]
      const first = await store().append(stream, [one, two])
      await store().append(stream, event('later'))
      const again = await store().append(stream, [one, two], expectedVersion ? { expectedVersion } : {})
      assert.equal(again, { ...first, deduplicated: true })
      assert.is((await store().load(stream)).length, 3)
    })
  }

  test('append: the order of keys, metadata and the case of an id make no difference to a retry', async () => {
    const stream = newStream()
    const one = { ...withId({ a: 1, b: [{ c: 2, d: 3.5 }] }), metadata: { try: 1 } }
    const first = await store().append(stream, one)
    for (const again of [
      { ...one, data: { b: [{ d: 3.5, c: 2 }], gone: undefined, a: 1 } },
      { ...one, metadata: { try: 2 }, id: one.id.toUpperCase() },
      { id: one.id, type: one.type, data: one.data },
    ])
      assert.equal(await store().append(stream, again), { ...first, deduplicated: true })
  })

  test('append: DuplicateEventError if an id is used for something else, or if only some ids are known', async () => {
    const stream = newStream()
    const known = withId({ a: [1, 2] })
    await store().append(stream, known)
    const cases: [typeof stream, NewEvent | NewEvent[]][] = [
      [{ ...stream, streamId: 'b' }, known],
      [newStream(), known],
      [stream, { ...known, type: 'U' }],
      [stream, { ...known, data: { a: [2, 1] } }],
      [stream, { ...known, data: { a: [1, 2], b: null } }],
      [stream, [known, withId()]],
      [stream, [event(), known]],
      [stream, [withId(), { ...known, data: 0 }]],
    ]
    for (const [where, events] of cases)
      for (const expectedVersion of ['any', 'no-stream', 0] as const) {
        const refused = store().append(where, events, { expectedVersion })
        const error = await rejects(refused, DuplicateEventError)
        assert.equal([error.id, error.stream], [known.id, where])
      }
    assert.is((await store().load(stream)).length, 1)
    await rejects(store().append(stream, withId(), { expectedVersion: 3 }), VersionConflictError)
  })

  test('append: concurrent appends of one id write it once; an append with a conflict does not use its ids', async () => {
    const stream = newStream()
    const one = withId()
    await rejects(store().append(stream, one, { expectedVersion: 3 }), VersionConflictError)
    const all = await Promise.all(
      Array.from({ length: 8 }, () => store().append(stream, one, { expectedVersion: 'no-stream' })),
    )
    assert.equal(all.map(({ deduplicated }) => deduplicated).sort(), [false, ...Array(7).fill(true)])
    assert.is((await store().load(stream)).length, 1)
  })

  test('append: of concurrent appends that expect the same version, one succeeds', async () => {
    const stream = newStream()
    const all = await Promise.allSettled(
      Array.from({ length: 8 }, () => store().append(stream, event(), { expectedVersion: -1 })),
    )
    const refused = all.filter((one) => one.status === 'rejected')
    assert.is(refused.length, 7)
    for (const { reason } of refused) assert.equal([reason.code, reason.actual], ['ERR_VERSION_CONFLICT', 0])
  })

  test('appendAll: the results have the order of the writes; a stream may occur twice, and a list may be empty', async () => {
    const [a, b] = [newStream(), newStream()]
    await store().append(b, event(0))
    const results = await store().appendAll([
      { stream: b, events: [event(1), event(2)], expectedVersion: 0 },
      { stream: newStream(), events: [], expectedVersion: 77 },
      { stream: a, events: event(3), expectedVersion: 'no-stream' },
      { stream: b, events: event(4), expectedVersion: 2 },
      { stream: b, events: [] },
    ])
    assert.equal(
      results.map(({ version }) => version),
      [2, -1, 0, 3, 3],
    )
    assert.equal(results[1], nothing)
    assert.equal(results[4], { ...nothing, version: 3, position: results[3]!.position })
    assert.equal((await store().load(b)).slice(1), [...results[0]!.events, ...results[3]!.events])
    assert.equal(await store().appendAll([]), [])
  })

  test('appendAll: after a conflict or a duplicate in one write, nothing is written', async () => {
    const category = uniqueName('all')
    const known = withId()
    await store().append({ category, streamId: 'known' }, known)
    const stream = (i: number) => ({ category, streamId: `s${i}` })
    for (const wrong of [0, 1, 2]) {
      const writes = [0, 1, 2].map((i) => ({ stream: stream(i), events: [event(i), event(i)] }))
      const late = writes.map((write, i) => (i === wrong ? { ...write, expectedVersion: 5 } : write))
      const conflict = await rejects(store().appendAll(late), VersionConflictError)
      assert.equal([conflict.stream, conflict.expected, conflict.actual], [stream(wrong), 5, -1])
      const used = writes.map((write, i) => (i === wrong ? { ...write, events: [known] } : write))
      const duplicate = await rejects(store().appendAll(used), DuplicateEventError)
      assert.equal([duplicate.id, duplicate.stream], [known.id, stream(wrong)])
    }
    const twice = [2, 2].map((expectedVersion) => ({ stream: stream(9), events: event(), expectedVersion }))
    await store().append(stream(9), [event(), event(), event()])
    assert.is((await rejects(store().appendAll(twice), VersionConflictError)).actual, 3)
    assert.is((await store().read({ category })).events.length, 4)
  })

  test('appendAll: the first results if all ids are known; DuplicateEventError if only some are', async () => {
    const [a, b] = [newStream(), newStream()]
    const known = withId(1)
    const writes = [
      { stream: a, events: known },
      { stream: b, events: [withId(2), withId(3)] },
    ]
    const first = await store().appendAll(writes)
    assert.equal(
      await store().appendAll(writes),
      first.map((result) => ({ ...result, deduplicated: true })),
    )
    for (const events of [withId(), event()]) {
      const error = await rejects(store().appendAll([writes[0]!, { stream: b, events }]), DuplicateEventError)
      assert.is(error.id, known.id)
    }
    assert.is((await store().load(b)).length, 2)
  })

  test('if the caller changes what it has passed or got, the store is not affected', async () => {
    const stream = newStream()
    const one = Object.freeze({ type: 'T', data: { n: 1 }, metadata: { m: 1 } })
    const appending = store().append(stream, Object.freeze([one]) as (typeof one)[])
    one.data.n = 2
    const { events } = await appending
    assert.is(events[0]!.data.n, 1)
    events[0]!.data.n = 3
    events[0]!.metadata.m = 3
    events[0]!.recordedAt.setTime(0)
    for (const [loaded] of [await store().load(stream), (await store().read(stream)).events]) {
      assert.equal([loaded!.data, loaded!.metadata], [{ n: 1 }, { m: 1 }])
      assert.ok(loaded!.recordedAt.getTime() > 0)
      loaded!.data.n = 4
    }
    assert.is((await store().load(stream))[0]!.data.n, 1)
  })

  test('withMetadata() adds its metadata to that of an append', async () => {
    const stream = newStream()
    const append = () => store().append(stream, { ...event(), metadata: { a: 1 } })
    const { events } = await withMetadata({ a: 0, b: 2 }, append)
    assert.equal(events[0]!.metadata, { a: 1, b: 2 })
  })

  test('bad input is refused with its path, before anything is written', async () => {
    const stream = newStream()
    const id = crypto.randomUUID()
    const append = (events: unknown, options?: unknown) =>
      store().append(stream, events as NewEvent, options as object)
    const cases: [() => Promise<unknown>, string][] = [
      [() => store().append(null as unknown as StreamRef, event()), 'stream'],
      [() => store().append({ ...stream, category: '' }, event()), 'stream.category'],
      [() => store().append({ ...stream, streamId: 'x'.repeat(256) }, event()), 'stream.streamId'],
      [() => append(7), 'events'],
      [() => append([event(), { data: 1 }]), 'events[1].type'],
      [() => append({ ...event(), id: 'x' }), 'events.id'],
      [() => append({ ...event(), meta: {} }), 'events.meta'],
      [() => append({ ...event(), metadata: [] }), 'events.metadata'],
      [
        () =>
          append([
            { ...event(), id },
            { ...event(), id },
          ]),
        'events[1].id',
      ],
      [() => append(event(), null), 'options'],
      [() => append(event(), { expectedVersion: -2 }), 'options.expectedVersion'],
      [() => append(event(), { expectVersion: 1 }), 'options.expectVersion'],
      [() => append(event(), { client: {} }), 'options.client'],
      [() => store().appendAll({} as never), 'writes'],
      [() => store().appendAll([{ stream, events: event(10n) }]), 'writes[0].events.data'],
      [
        () =>
          store().appendAll(
            ['a', 'b'].map((streamId) => ({ stream: { ...stream, streamId }, events: { ...event(), id } })),
          ),
        'writes[1].events[0].id',
      ],
      [() => store().appendAll([{ stream, events: [], expected: 1 } as StreamWrite]), 'writes[0].expected'],
    ]
    for (const [call, path] of cases) assert.is((await rejects(call(), ValidationError)).path, path)
    assert.equal(await store().load(stream), [])
  })
}
