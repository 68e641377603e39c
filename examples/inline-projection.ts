// A read model that is never behind: written in the transaction that appends.
import { connect, defineCategory } from 'meowmx'
import pg from 'pg'
import { z } from 'zod'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const User = defineCategory('user', {
  UserRegistered: z.object({ email: z.string() }),
  UserLeft: z.object({}),
})
const client = new pg.Client(database.connectionString)
await client.connect()
await client.query('create table users (id text primary key, email text not null unique)')

// In every process that appends, before it does: what others append passes it by.
meow.project(User, async (events, client) => {
  for (const event of events) {
    if (!event.known) continue
    if (event.type === 'UserLeft') await client.query('delete from users where id = $1', [event.streamId])
    else await client.query('insert into users values ($1, $2)', [event.streamId, event.data.email])
  }
})

const register = async (id: string, email: string) => {
  try {
    await meow.append(User.stream(id), User.UserRegistered({ email }), { expectedVersion: 'no-stream' })
    console.log(`${id}: registered`)
  } catch (error) {
    console.log(`${id}: ${(error as Error).message}`)
  }
}
await register('ann', 'ann@example.com')
await register('bob', 'ann@example.com') // refused by the table, so nothing is appended
console.log(`${(await meow.load(User.stream('bob'))).length} events of bob`)

await meow.append(User.stream('ann'), User.UserLeft({}))
await register('bob', 'ann@example.com') // no need to wait until anything has caught up
console.log((await client.query('select * from users')).rows)
await client.end()

// Output:
// ann: registered
// bob: duplicate key value violates unique constraint "users_email_key"
// 0 events of bob
// bob: registered
// [ { id: 'bob', email: 'ann@example.com' } ]
