// A course has a limit of students, and a student a limit of courses: one exact decision over two streams.
import { ConditionFailedError, connect, type DecisionModel, type RecordedEvent } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

interface Subscribe {
  course: string
  student: string
}
interface State {
  seats: number
  ofCourse: number
  ofStudent: number
}

const subscribe = ({ course, student }: Subscribe): DecisionModel<Subscribe, RecordedEvent, State> => ({
  query: () => [
    { tags: [`course:${course}`] },
    { tags: [`student:${student}`], types: ['StudentSubscribed'] },
  ],
  initial: { seats: 0, ofCourse: 0, ofStudent: 0 },
  evolve: (state, { type, data, tags }) =>
    type === 'CourseDefined'
      ? { ...state, seats: data.seats }
      : {
          ...state,
          ofCourse: state.ofCourse + (tags.includes(`course:${course}`) ? 1 : 0),
          ofStudent: state.ofStudent + (tags.includes(`student:${student}`) ? 1 : 0),
        },
  decide: (_, { seats, ofCourse, ofStudent }) => {
    if (ofCourse >= seats) throw new Error(`${student}: the course ${course} is full`)
    if (ofStudent >= 2) throw new Error(`${student}: takes 2 courses already`)
    return {
      stream: { category: 'subscription', streamId: `${course}-${student}` },
      events: {
        type: 'StudentSubscribed',
        data: {},
        tags: [`course:${course}`, `student:${student}`],
      },
    }
  },
})

for (const [course, seats] of [
  ['sql', 2],
  ['css', 9],
  ['git', 9],
] as const)
  await meow.append(
    { category: 'course', streamId: course },
    { type: 'CourseDefined', data: { seats }, tags: [`course:${course}`] },
  )

async function trySubscribe(course: string, student: string): Promise<string> {
  const command = { course, student }
  try {
    const { state } = await meow.decide(subscribe(command), command, { retries: 20 })
    return `${student}: subscribed to ${course}, which has ${state.seats - state.ofCourse} seats left`
  } catch (error) {
    if (error instanceof ConditionFailedError) throw error
    return (error as Error).message
  }
}

// All at once: two of the three get a seat.
const tries = await Promise.all(['ada', 'bob', 'cyd'].map((student) => trySubscribe('sql', student)))
console.log(`${tries.filter((text) => text.includes('subscribed')).length} of 3 subscribed to sql`)
console.log(await trySubscribe('css', 'eve'))
console.log(await trySubscribe('git', 'eve'))
console.log(await trySubscribe('css', 'eve'))

// Output:
// 2 of 3 subscribed to sql
// eve: subscribed to css, which has 8 seats left
// eve: subscribed to git, which has 8 seats left
// eve: takes 2 courses already
