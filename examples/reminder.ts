// A reminder every day until it is answered. The test lets days go by without waiting.
import { defineProcessManager, effects } from 'meowmx'
import { given } from 'meowmx/testing'

const DAY = 24 * 60 * 60 * 1_000

const reminder = defineProcessManager({
  name: 'reminder',
  category: 'question',
  timers: ['tomorrow'],
  correlate: (event) => event.streamId,
  initial: { sent: 0 },
  react: ({ sent }, input, { id, append, schedule, end }) => {
    if (input.type === 'Answered') return { state: { sent }, effects: [end()] }
    const again = schedule('tomorrow', { inMs: DAY })
    if (input.name === undefined) return { state: { sent }, effects: [again] }
    const mail = { type: 'ReminderDue', data: { number: sent + 1 } }
    return { state: { sent: sent + 1 }, effects: [append({ category: 'mail', streamId: id }, mail), again] }
  },
})

const asked = { type: 'Asked', data: {} }
const reminded = (number: number) => [
  effects.append({ category: 'mail', streamId: 'given' }, { type: 'ReminderDue', data: { number } }),
  effects.schedule('tomorrow', { inMs: DAY }),
]
given(reminder, asked)
  .afterMs(DAY - 1)
  .thenNothing()
const afterThreeDays = given(reminder, asked)
  .afterMs(DAY)
  .then(reminded(1))
  .afterMs(DAY)
  .then(reminded(2))
  .afterMs(DAY)
  .then(reminded(3))
afterThreeDays
  .when({ type: 'Answered', data: {} })
  .then(effects.end())
  .afterMs(30 * DAY)
  .thenNothing()
console.log('three reminders, an answer, and a month of peace')

// Output:
// three reminders, an answer, and a month of peace
