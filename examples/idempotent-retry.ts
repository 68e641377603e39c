// An append whose answer was lost can simply be sent again: its ids make it count once.
import { randomUUID } from 'node:crypto'
import { connect, DuplicateEventError } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const account = { category: 'account', streamId: 'ann' }
const deposit = { id: randomUUID(), type: 'Deposited', data: { amount: 100 } } // the id is made once, before the first try

for (const attempt of [1, 2, 3]) {
  const { version, deduplicated } = await meow.append(account, deposit, { expectedVersion: 'no-stream' })
  console.log(`attempt ${attempt}: version ${version}, deduplicated ${deduplicated}`)
}

// The same id with other data is a mistake, not a retry.
try {
  await meow.append(account, { ...deposit, data: { amount: 1_000_000 } })
} catch (error) {
  if (!(error instanceof DuplicateEventError)) throw error
  console.log(error.code)
}

const events = await meow.load(account)
console.log(`${events.length} event, balance ${events.reduce((sum, { data }) => sum + data.amount, 0)}`)

// Output:
// attempt 1: version 0, deduplicated false
// attempt 2: version 0, deduplicated true
// attempt 3: version 0, deduplicated true
// ERR_DUPLICATE_EVENT
// 1 event, balance 100
