// The testing kit for process managers: given these events, when an event comes or time goes by, then these are the effects.
import { AssertionError } from 'node:assert'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { FailIf } from '../src/index.ts'
import { defineCategory, defineProcessManager, effects } from '../src/index.ts'
import { given } from '../src/testing/index.ts'

const Order = defineCategory('order', { Placed: z.object({}), Cancelled: z.object({ after: z.number() }) })
const deadline = defineProcessManager({
  name: 'deadline',
  category: [Order, 'payment'],
  timers: ['late'],
  correlate: (event) => event.streamId,
  initial: { paid: false },
  react: (state, input, { id, now, append, schedule, cancel, end }) => {
    if (input.name === 'late')
      return { state, effects: [append(Order.stream(id), Order.Cancelled({ after: now.getTime() })), end()] }
    if (input.category === 'payment') return { state: { paid: true }, effects: [cancel('late'), end()] }
    if (input.known && input.type === 'Placed') return { state, effects: [schedule('late', { inMs: 2_000 })] }
    throw new Error(`what is ${input.type}?`)
  },
})
const placed = Order.Placed({})
const paid = { stream: { category: 'payment', streamId: 'given' }, event: { type: 'Paid', data: {} } }
const cancelled = [effects.append(Order.stream('given'), Order.Cancelled({ after: 2_000 })), effects.end()]

const fails = (run: () => unknown, message: RegExp) => {
  try {
    run()
  } catch (error) {
    assert.instance(error, AssertionError)
    return assert.match((error as Error).message, message)
  }
  assert.unreachable(`${message}`)
}

test('events and time lead to effects and a state', () => {
  given(deadline)
    .when(placed)
    .then([effects.schedule('late', { inMs: 2_000 })])
    .thenState({ paid: false })
  given(deadline, placed).afterMs(1_999).thenNothing().afterMs(1).then(cancelled)
  given(deadline, placed)
    .when(paid)
    .then([effects.cancel('late'), effects.end()])
    .thenState({ paid: true })
  given(deadline, placed, paid).afterMs(1e9).thenNothing()
  given(deadline, [placed, paid]).when(paid).thenNothing()
})

test('a difference is an AssertionError that shows it', () => {
  fails(() => given(deadline).when(placed).then([]), /effects are not as expected/)
  fails(
    () =>
      given(deadline)
        .when(placed)
        .then([effects.schedule('late', { inMs: 2_001 })]),
    /2001/,
  )
  fails(() => given(deadline, placed).afterMs(2_000).then([cancelled[1]!]), /Cancelled/)
  fails(() => given(deadline, placed).afterMs(2_000).thenNothing(), /expected no effects/)
  fails(() => given(deadline).when(placed).thenState({ paid: true }), /the state is not as expected/)
  fails(() => given(deadline).when(placed).thenThrows(), /expected an error/)
  fails(
    () =>
      given(deadline)
        .when(Order.Cancelled({ after: 1 }))
        .thenNothing(),
    /what is Cancelled/,
  )
  given(deadline)
    .when(Order.Cancelled({ after: 1 }))
    .thenThrows(/what is Cancelled/)
})

test('an event that the process manager does not select is refused', () => {
  const definition = {
    name: 'narrow',
    category: 'order',
    types: ['Placed'],
    streamId: '42',
    tags: ['vip'],
    correlate: () => 'one',
    initial: 0,
    react: (state: number) => ({ state: state + 1 }),
  }
  const selected = { type: 'Placed', data: {}, tags: ['vip'] }
  given(definition).when(selected).thenState(1)
  for (const event of [
    { ...selected, type: 'Shipped' },
    { ...selected, tags: ['poor'] },
    { stream: { category: 'order', streamId: '43' }, event: selected },
    { stream: { category: 'payment', streamId: '42' }, event: selected },
  ])
    given(definition)
      .when(event)
      .thenThrows(/narrow.*selects/)
})

test('the tags and the condition of what is appended are compared', () => {
  const stream = { category: 'order', streamId: '1' }
  const event = { type: 'Placed', data: {}, tags: ['vip'] }
  const failIf: FailIf = { query: { tags: ['vip'] } }
  const manager = {
    name: 'tagging',
    category: 'payment',
    correlate: () => 'one',
    initial: 0,
    react: (state: number) => ({ state, effects: [effects.append(stream, event, { failIf })] }),
  }
  const done = given(manager).when({ type: 'Paid', data: {} })
  done.then(effects.append(stream, event, { failIf }))
  fails(() => done.then(effects.append(stream, event)), /failIf/)
  fails(() => done.then(effects.append(stream, { type: 'Placed', data: {} }, { failIf })), /vip/)
})

test.run()
