// A user name belongs to one user at a time, and is free again when its user gives it up.
import { connect, type DecisionModel, type RecordedEvent } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

interface Claim {
  user: string
  name: string
}

const claimName: DecisionModel<Claim, RecordedEvent, { owner: string | null }> = {
  query: ({ name }) => ({ tags: [`name:${name.toLowerCase()}`] }),
  initial: { owner: null },
  evolve: (_, { type, streamId }) => ({ owner: type === 'NameClaimed' ? streamId : null }),
  decide: ({ user, name }, { owner }) => {
    if (owner === user) return []
    if (owner !== null) throw new Error(`${name} is taken`)
    return {
      stream: { category: 'user', streamId: user },
      events: { type: 'NameClaimed', data: { name }, tags: [`name:${name.toLowerCase()}`] },
    }
  },
}

const claim = (user: string, name: string) =>
  meow.decide(claimName, { user, name }).then(
    () => `user ${user} is ${name}`,
    (error: Error) => `user ${user}: ${error.message}`,
  )

console.log(await claim('1', 'Ada'))
console.log(await claim('2', 'ada'))
await meow.append(
  { category: 'user', streamId: '1' },
  { type: 'NameGivenUp', data: { name: 'Ada' }, tags: ['name:ada'] },
)
console.log(await claim('2', 'ada'))

// Output:
// user 1 is Ada
// user 2: ada is taken
// user 2 is ada
