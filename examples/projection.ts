// A projection written in the transaction of its checkpoint: each event counts once, whatever fails in between.
import { connect } from 'meowmx'
import pg from 'pg'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()
const pool = new pg.Pool(database)
await pool.query('create table balances (account text primary key, amount int not null)')

const account = (streamId: string) => ({ category: 'account', streamId })
const deposited = (amount: number) => ({ type: 'Deposited', data: { amount } })
await meow.append(account('ann'), [deposited(10), deposited(20), deposited(30)])
await meow.append(account('bob'), [deposited(5), deposited(7)])

let failures = 2
const balances = meow.subscription('balances', { category: 'account', types: ['Deposited'] })
const worker = balances.process(
  async (event, { client }) => {
    // Not idempotent at all, and need not be.
    await client.query(
      `insert into balances values ($1, $2)
       on conflict (account) do update set amount = balances.amount + excluded.amount`,
      [event.streamId, event.data.amount],
    )
    if (event.data.amount === 20 && failures-- > 0) throw new Error('too late: it is written already')
  },
  { transactional: true, batchSize: 100, retry: { minDelayMs: 10 } },
)

/** Whoever has written an event can wait until it shows. */
async function deposit(who: string, amount: number): Promise<void> {
  const { position } = await meow.append(account(who), deposited(amount))
  await meow.waitFor('balances', position)
  const { rows } = await pool.query('select account, amount from balances order by account')
  console.log(rows.map((row) => `${row.account} ${row.amount}`).join(', '))
}
await deposit('ann', 40)
await deposit('bob', 8)
await worker.stop()
await pool.end()

// Output:
// ann 100, bob 12
// ann 100, bob 20
