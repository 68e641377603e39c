// The testing kit takes decision models: given events, when a command, then events, nothing, an error or a state.
import { AssertionError } from 'node:assert'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { DecisionModel, RecordedEvent } from '../src/index.ts'
import { ValidationError } from '../src/index.ts'
import { given } from '../src/testing/index.ts'

interface Subscribe {
  course: string
  student: string
}
const subscribe: DecisionModel<Subscribe, RecordedEvent, { seats: number; taken: number }> = {
  query: ({ course }) => ({ tags: [`course:${course}`] }),
  initial: { seats: 0, taken: 0 },
  evolve: (state, { type, data }) =>
    type === 'CourseDefined' ? { ...state, seats: data.seats } : { ...state, taken: state.taken + 1 },
  decide: ({ course, student }, { seats, taken }) => {
    if (student === 'nobody') return []
    if (taken >= seats) throw new RangeError('full')
    const tags = [`student:${student}`, `course:${course}`]
    return {
      stream: { category: 'student', streamId: student },
      events: { type: 'Subscribed', data: {}, tags },
    }
  },
}
const defined = { type: 'CourseDefined', data: { seats: 1 }, tags: ['course:sql'] }
const subscribed = (student: string) => ({
  stream: { category: 'student', streamId: student },
  events: { type: 'Subscribed', data: {}, tags: ['course:sql', `student:${student}`] },
})

test('what a command makes, refuses and leads to', () => {
  const course = given(subscribe, [
    defined,
    { type: 'CourseDefined', data: { seats: 9 }, tags: ['course:ts'] },
  ])
  course.when({ course: 'sql', student: 'ada' }).then(subscribed('ada')).thenState({ seats: 1, taken: 1 })
  course.when({ course: 'sql', student: 'nobody' }).thenNothing()
  given(subscribe, [defined, subscribed('bob')])
    .when({ course: 'sql', student: 'ada' })
    .thenThrows(/full/)
  given(subscribe).when({ course: 'sql', student: 'ada' }).thenThrows(RangeError)
})

test('what is not as expected fails', () => {
  const when = () => given(subscribe, defined).when({ course: 'sql', student: 'ada' })
  for (const fails of [
    () => when().then(subscribed('bob')),
    () => when().then([]),
    () => when().then({ ...subscribed('ada'), events: { type: 'Subscribed', data: {} } }),
    () => when().thenNothing(),
    () => when().thenThrows(),
    () => when().thenState({ seats: 1, taken: 0 }),
    () => given(subscribe).when({ course: 'sql', student: 'ada' }).then(subscribed('ada')),
  ])
    assert.throws(fails, (error: unknown) => error instanceof AssertionError)
  assert.throws(
    () => given({ ...subscribe, evolve: 1 } as never),
    (e: unknown) => e instanceof ValidationError,
  )
  assert.throws(
    () => given(subscribe, { ...defined, tags: [''] }),
    (e: unknown) => e instanceof ValidationError,
  )
})

test.run()
