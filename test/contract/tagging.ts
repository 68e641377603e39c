import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { DecisionModel, RecordedEvent } from '../../src/index.ts'
import { ConditionFailedError, defineCategory, ValidationError } from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import type { Contract } from './contract.ts'

interface Subscribe {
  course: string
  student: string
}
const subscribe = (seats: number): DecisionModel<Subscribe, RecordedEvent, { taken: number }> => ({
  query: ({ course }) => ({ tags: [course], types: ['Subscribed'] }),
  initial: { taken: 0 },
  evolve: ({ taken }) => ({ taken: taken + 1 }),
  decide: ({ course, student }, { taken }) => {
    if (taken >= seats) throw new RangeError('the course is full')
    if (student === 'nobody') return []
    return {
      stream: { category: 'student', streamId: student },
      events: { type: 'Subscribed', data: {}, tags: [course, student] },
    }
  },
})

export const tagging: Contract = (test, store) => {
  test('tags: what is appended with them is selected by them, and seen by a query', async () => {
    const [a, b] = [uniqueName('a'), uniqueName('b')]
    const stream = { category: uniqueName('tag'), streamId: '1' }
    const { events } = await store().append(stream, [
      { type: 'A', data: 1, tags: [b, a, b] },
      { type: 'B', data: 2, tags: [a] },
      { type: 'C', data: 3 },
    ])
    assert.equal(
      events.map(({ tags }) => tags),
      [[a, b], [a], []],
    )
    assert.equal((await store().read({ tags: [a] })).events, events.slice(0, 2))
    assert.equal((await store().read({ ...stream, tags: [a, b] })).events, events.slice(0, 1))
    assert.equal((await store().query({ tags: [a], types: ['B'] })).events, events.slice(1, 2))
    assert.equal(
      (await store().query([{ tags: [b] }, { tags: [a], types: ['B', 'C'] }])).events,
      events.slice(0, 2),
    )
    const seen = []
    for await (const event of store().iterate({ tags: [b] }, { live: false })) seen.push(event)
    assert.equal(seen, events.slice(0, 1))
  })

  test('failIf: an event that was not seen refuses the append; what was seen can not be forged', async () => {
    const tag = uniqueName('t')
    const stream = { category: uniqueName('tag'), streamId: '1' }
    const event = { type: 'A', data: 1, tags: [tag] }
    const query = { tags: [tag] as [string] }
    const before = await store().query(query)
    const { events } = await store().append(stream, event, { failIf: { query, after: before.seen } })
    const { id, position } = events[0]!
    const error = await rejects(
      store().appendAll([{ stream, events: event }], { failIf: { query, after: before.seen } }),
      ConditionFailedError,
    )
    assert.equal(error.event, { id, position, type: 'A', stream })
    await store().append(stream, event, { failIf: { query, after: (await store().query(query)).seen } })
    const again = await store().append(stream, { ...event, id }, { failIf: { query } })
    assert.ok(again.deduplicated)
    const forged = before.seen.replace(/^s1\.\d+/, 's1.9')
    for (const after of [forged, 'anything', 7 as never]) {
      const refused = await rejects(
        store().append(stream, event, { failIf: { query, after } }),
        ValidationError,
      )
      assert.is(refused.path, 'options.failIf.after')
    }
  })

  test('decide with a model: the seats of a course are not oversold, whoever comes first', async () => {
    const course = uniqueName('course')
    const model = subscribe(3)
    const decide = (student: string) => store().decide(model, { course, student }, { retries: 100 })
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => decide(`${course}${i}`)))
    assert.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 3)
    for (const one of outcomes) if (one.status === 'rejected') assert.instance(one.reason, RangeError)
    assert.is((await store().query({ tags: [course] })).events.length, 3)
    const more = await store().decide(subscribe(9), { course, student: `${course}x` })
    assert.equal([more.state, more.results.length], [{ taken: 4 }, 1])
    const nothing = await store().decide(subscribe(9), { course, student: 'nobody' })
    assert.equal(nothing, { state: { taken: 4 }, results: [] })
  })

  test('a category makes tags of typed data, and its events are read with their types', async () => {
    const name = uniqueName('order')
    const Order = defineCategory(
      name,
      { Placed: z.object({ customer: z.string(), price: z.number().default(1) }), Left: z.object({}) },
      { tags: { Placed: ({ customer, price }) => [`${name}:${customer}`, `price:${price}`] } },
    )
    const { events } = await store().append(Order.stream('1'), [
      Order.Placed({ customer: 'ada' }, { tags: [`${name}:x`] }),
      Order.Left({}),
    ])
    assert.equal(
      events.map(({ tags }) => tags),
      [[`${name}:ada`, `${name}:x`, 'price:1'], []],
    )
    const found = await store().query({ tags: [`${name}:ada`] }, { categories: [Order] })
    assert.equal(found.events, [events[0]])
    assert.ok(found.events[0]!.known)
    const Bad = defineCategory(name, { T: z.object({}) }, { tags: { T: () => [''] } })
    assert.is(
      (await rejects(store().append(Bad.stream('1'), Bad.T({})), ValidationError)).path,
      'events.tags[0]',
    )
    assert.throws(
      () => defineCategory(name, { T: z.object({}) }, { tags: { U: () => [] } as never }),
      /options.tags.U/,
    )
  })
}
