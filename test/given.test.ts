// @direct
// given, when, then: checks what a decider does, without a store, with the same checks that a store makes.
import { AssertionError } from 'node:assert'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { Decider, EventOf, RecordedEvent } from '../src/index.ts'
import { DuplicateEventError, defineCategory, UpcastError, ValidationError } from '../src/index.ts'
import { given, stored } from '../src/testing/index.ts'

const Show = defineCategory('show', {
  ShowAnnounced: z.object({ seats: z.number().int().positive(), hall: z.string().default('main') }),
  SeatsSold: {
    schema: z.object({ seats: z.array(z.string()) }),
    version: 2,
    upcast: { 1: (old) => ({ seats: Array.from({ length: old.count }, (_, i) => `A${i + 1}`) }) },
  },
})
interface State {
  free: number
  sold: string[]
}
const booking: Decider<string[], EventOf<typeof Show>, State> = {
  category: Show,
  initial: { free: 0, sold: [] },
  evolve: (state, event) => {
    if (!event.known) return { ...state, free: state.free + 1 } // so that it shows
    return event.type === 'ShowAnnounced'
      ? { ...state, free: event.data.seats }
      : { free: state.free - event.data.seats.length, sold: [...state.sold, ...event.data.seats] }
  },
  decide: (seats, { free, sold }) => {
    if (seats.some((seat) => sold.includes(seat))) throw new TypeError('sold')
    if (seats.length > free) throw new RangeError(`only ${free} left`)
    return seats.length === 0 ? [] : Show.SeatsSold({ seats }, { metadata: { by: 'box office' } })
  },
}
const announced = Show.ShowAnnounced({ seats: 3 })
const sold = (...seats: string[]) => Show.SeatsSold({ seats })

/** The failure of a check; fails if the check passes. */
function fails(check: () => unknown): AssertionError {
  try {
    check()
  } catch (error) {
    assert.instance(error, AssertionError)
    return error as AssertionError
  }
  throw new Error('it held')
}

test('events, nothing, an error, a state: what holds is silent', () => {
  const open = given(booking, [announced, sold('A1')])
  open.thenState({ free: 2, sold: ['A1'] })
  open
    .when(['B1'])
    .then([sold('B1')])
    .thenState({ free: 1, sold: ['A1', 'B1'] })
  open.when(['B1', 'B2']).then(sold('B1', 'B2')) // one need not be a list, and it may be asked again
  open
    .when([])
    .thenNothing()
    .thenState({ free: 2, sold: ['A1'] })
  open.when([]).then([])
  for (const expected of [undefined, RangeError, Error, /only 2 left/, new RangeError('only 2 left')])
    open.when(['B1', 'B2', 'B3']).thenThrows(expected)
  given(booking).thenState(booking.initial)
  given(booking)
    .when(['A1'])
    .thenThrows(/only 0 left/)
})

test('what does not hold is an AssertionError, with the difference, at the line that says it', () => {
  const when = () => given(booking, announced).when(['A1'])
  const events = fails(() => when().then([sold('A2')]))
  assert.equal(events.actual, [{ type: 'SeatsSold', data: { seats: ['A1'] } }])
  assert.equal(events.expected, [{ type: 'SeatsSold', data: { seats: ['A2'] } }])
  assert.match(events.message, /^given 1 event, when \["A1"\]: the events are not as expected\n/)
  assert.match(events.message, /\+ +'A1'.*- +'A2'/s)
  assert.match(events.stack!.split('\n').find((line) => line.startsWith('    at '))!, 'given.test.')

  const more = fails(() => when().then([sold('A1'), sold('A2')]))
  assert.is((more.actual as unknown[]).length, 1)
  fails(() => when().then([]))
  assert.match(fails(() => when().thenNothing()).message, 'expected no events')
  const state = fails(() =>
    when()
      .then([sold('A1')])
      .thenState({ free: 3, sold: ['A1'] }),
  )
  assert.equal(
    [state.actual, state.expected].map((s) => (s as State).free),
    [2, 3],
  )
  fails(() => given(booking, [announced]).thenState({ free: 0, sold: [] }))
  assert.match(
    fails(() => when().thenThrows()).message,
    'expected an error, but it made the events ["SeatsSold"]',
  )
})

test('if the decider throws where something else is expected, the error says what it threw and why', () => {
  const refused = given(booking, [announced, sold('A1')]).when(['A1'])
  for (const check of [
    () => refused.then([sold('A1')]),
    () => refused.thenNothing(),
    () => refused.thenState({ free: 2, sold: ['A1'] }),
  ]) {
    const error = fails(check)
    assert.match(error.message, 'it threw TypeError: sold')
    assert.instance(error.cause, TypeError)
  }
  for (const expected of [RangeError, /left/, new TypeError('other'), new RangeError('sold')])
    assert.match(fails(() => refused.thenThrows(expected)).message, 'the error is not as expected')
  assert.throws(
    () => refused.thenThrows('sold' as never),
    (error: unknown) => error instanceof ValidationError && error.path === 'expected',
  )
})

test('ids and metadata are compared if they are given', () => {
  const id = crypto.randomUUID()
  const naming = { ...booking, decide: () => Show.SeatsSold({ seats: [] }, { id, metadata: { by: 'me' } }) }
  const when = () => given(naming).when([])
  when().then(Show.SeatsSold({ seats: [] }))
  when().then(Show.SeatsSold({ seats: [] }, { id: id.toUpperCase(), metadata: { by: 'me' } }))
  fails(() => when().then(Show.SeatsSold({ seats: [] }, { id: crypto.randomUUID() })))
  const other = fails(() => when().then(Show.SeatsSold({ seats: [] }, { metadata: { by: 'you' } })))
  assert.equal((other.actual as any)[0].metadata, { by: 'me' })
})

test('what is stored is compared: JSON, defaults filled in', () => {
  const at = new Date('2026-01-02')
  const plain: Decider<unknown, RecordedEvent, unknown> = {
    category: 'plain',
    initial: null,
    evolve: (_, { data }) => data,
    decide: (data) => ({ type: 'T', data }),
  }
  given(plain)
    .when({ at, b: undefined })
    .then({ type: 'T', data: { at } })
    .thenState({ at: at.toISOString() })
  given(plain, [{ type: 'T', data: { at } }]).thenState({ at: at.toISOString() })
  const announcing = { ...booking, decide: () => Show.ShowAnnounced({ seats: 1 }) }
  given(announcing)
    .when([])
    .then({ type: 'ShowAnnounced', data: { seats: 1, hall: 'main' } })
})

test('old, new and undefined events come as the store would give them', () => {
  const old = stored({ type: 'SeatsSold', data: { count: 2 } })
  given(booking, [announced, old]).thenState({ free: 1, sold: ['A1', 'A2'] })
  const newer = stored({ type: 'SeatsSold', data: 'odd', metadata: { schemaVersion: 3 } })
  given(booking, [announced, newer, stored({ type: 'Lost', data: null })]).thenState({ free: 5, sold: [] })
  assert.throws(
    () => given(booking, [stored({ type: 'SeatsSold', data: null })]),
    (error: unknown) => error instanceof UpcastError,
  )
  const seen: RecordedEvent[] = []
  const looking = {
    ...booking,
    evolve: (state: State, event: RecordedEvent) => {
      seen.push(event)
      return state
    },
  }
  given(looking, [announced, { type: 'SeatsSold', data: { seats: [] } }])
  assert.equal(
    seen.map(({ category, version, metadata }) => [category, version, metadata]),
    [
      ['show', 0, {}],
      ['show', 1, { schemaVersion: 2 }],
    ],
  )
})

test('what append would refuse is refused: of the given events, of the expected, of those that are made', () => {
  const bad = { type: 'SeatsSold', data: { seats: [7] } }
  const path = (expected: string) => (error: unknown) =>
    error instanceof ValidationError && error.path === expected
  assert.throws(() => given(booking, [announced, bad]), path('given.events[1].data.seats[0]'))
  assert.throws(() => given(booking, [{ type: 'Lost', data: {} }]), path('given.events[0].type'))
  assert.throws(() => given(booking, [null as never]), path('given.events[0]'))
  assert.throws(() => given({ ...booking, evolve: 1 as never }), path('decider.evolve'))
  assert.throws(
    () =>
      given(booking, [announced])
        .when([])
        .then([bad as never]),
    path('then.events[0].data.seats[0]'),
  )
  given({ ...booking, decide: () => bad as never }, [announced])
    .when([])
    .thenThrows(ValidationError)
  const id = crypto.randomUUID()
  const again = { ...booking, decide: () => Show.SeatsSold({ seats: ['A1'] }, { id }) }
  given(again, [announced, Show.SeatsSold({ seats: ['B1'] }, { id })])
    .when([])
    .thenThrows(DuplicateEventError)
  // The same again is written once, as by the store.
  given(again, [announced, Show.SeatsSold({ seats: ['A1'] }, { id })])
    .when([])
    .then(sold('A1'))
    .thenState({ free: 2, sold: ['A1'] })
})

test('a decider that changes its arguments is detected', () => {
  const initial = { free: 0, sold: [] as string[] }
  const impure: typeof booking = {
    ...booking,
    initial,
    evolve: (state, event) => {
      if (event.known && event.type === 'SeatsSold') state.sold.push(...event.data.seats)
      return state
    },
  }
  const error = fails(() => given(impure, [announced, sold('A1')]))
  assert.match(error.message, 'evolve threw on event 1, SeatsSold: TypeError')
  assert.equal(initial.sold, [])
  const greedy: typeof booking = {
    ...booking,
    decide: (_, state) => {
      state.free = 0
      return []
    },
  }
  given(greedy, [announced]).when([]).thenThrows(TypeError)
})

test('if evolve throws on a given or a new event, the error names the event', () => {
  const narrow: Decider<number, RecordedEvent, number> = {
    category: 'narrow',
    initial: 0,
    evolve: (sum, { data }) => {
      if (data > 1) throw new RangeError('too much')
      return sum + data
    },
    decide: (n) => ({ type: 'T', data: n }),
  }
  const event = (data: number) => ({ type: 'T', data })
  assert.match(fails(() => given(narrow, [event(1), event(2)])).message, 'event 1, T: RangeError: too much')
  assert.match(fails(() => given(narrow, [event(1)]).when(3)).message, 'event 1, T: RangeError: too much')
})

test('awaiting it is an error that says that it is not a promise', async () => {
  const error = await Promise.resolve(given(booking).when([]) as unknown).catch((error) => error)
  assert.match((error as Error).message, 'is not a promise')
  await given(booking, [announced])
    .when(['A1'])
    .then([sold('A1')]) // which is fine
})

test.run()
