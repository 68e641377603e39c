// Uses a store, and tells as JSON what came of it and which kind of query was sent (test/plain-query.test.ts).
import pg from 'pg'
import { connect } from '../../src/index.ts'
import { collect } from './collect.ts'

const counts = { ours: 0, ofPg: 0 }
const { query } = pg.Client.prototype
pg.Client.prototype.query = function (this: pg.Client, asked: any, ...rest: any[]) {
  counts[asked?.constructor?.name === 'FastQuery' ? 'ours' : 'ofPg']++
  return (query as any).call(this, asked, ...rest)
} as typeof query

const category = 'orders'
const stream = { category, streamId: '1' }
const event = { type: 'Placed', data: { note: 'ä' } }
const meow = await connect({ connectionString: process.env.DATABASE_URL!, schema: process.env.SCHEMA! })
await meow.migrate()
const seen = collect(meow.events({ category }))
const handled: number[] = []
const worker = meow
  .subscription('invoices', { category })
  .process(({ version }) => void handled.push(version))
await meow.append(stream, event, { expectedVersion: -1 })
await meow.append(stream, [event, event])
const error = await meow.append(stream, event, { expectedVersion: 0 }).catch((error) => error.name)
await seen.has(3)
await meow.waitFor('invoices', (await meow.read({ category })).position)
await worker.stop()
const versions = (await meow.load(stream)).map(({ version }) => version)
await meow.close()
const admin = new pg.Client(process.env.DATABASE_URL!)
await admin.connect()
await admin.query(`drop schema ${process.env.SCHEMA} cascade`)
await admin.end()
console.log(
  JSON.stringify({ ...counts, versions, seen: seen.all.map(({ version }) => version), handled, error }),
)
