// The transaction of a library that you use already: what it writes and what meowmx appends is committed together.
import { drizzle } from 'drizzle-orm/node-postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import knexOf from 'knex'
import { Kysely, PostgresDialect } from 'kysely'
import { connect, VersionConflictError } from 'meowmx'
import { fromDrizzle, fromKnex, fromKysely, fromPostgresJs, fromPrisma, fromTypeOrm } from 'meowmx/adapters'
import pg from 'pg'
import postgres from 'postgres'
import { DataSource, EntitySchema } from 'typeorm'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const { connectionString } = database
const pool = new pg.Pool({ connectionString })
await pool.query('create table orders (id text primary key)')
const placed = (id: string) => ({ type: 'OrderPlaced', data: { id } })

const orders = pgTable('orders', { id: text().primaryKey() })
const db = drizzle(pool)

async function withDrizzle(id: string) {
  await db.transaction(async (tx) => {
    await tx.insert(orders).values({ id })
    const client = fromDrizzle(tx)
    await meow.append({ category: 'order', streamId: id }, placed(id), { client })
  })
}

const kysely = new Kysely<{ orders: { id: string } }>({ dialect: new PostgresDialect({ pool }) })

async function withKysely(id: string) {
  await kysely.transaction().execute(async (trx) => {
    await trx.insertInto('orders').values({ id }).execute()
    const client = fromKysely(trx)
    await meow.append({ category: 'order', streamId: id }, placed(id), { client })
  })
}

const knex = knexOf.default({ client: 'pg', connection: connectionString })

async function withKnex(id: string) {
  await knex.transaction(async (trx) => {
    await trx('orders').insert({ id })
    const client = fromKnex(trx)
    await meow.append({ category: 'order', streamId: id }, placed(id), { client })
  })
}

const columns = { id: { type: 'text', primary: true } } as const
const Order = new EntitySchema<{ id: string }>({ name: 'Order', tableName: 'orders', columns })
const dataSource = new DataSource({ type: 'postgres', url: connectionString, entities: [Order] })
await dataSource.initialize()

async function withTypeOrm(id: string) {
  await dataSource.transaction(async (manager) => {
    await manager.insert(Order, { id })
    const client = fromTypeOrm(manager)
    await meow.append({ category: 'order', streamId: id }, placed(id), { client })
  })
}

const sql = postgres(connectionString)

async function withPostgresJs(id: string) {
  await sql.begin(async (tx) => {
    await tx`insert into orders values (${id})`
    const client = fromPostgresJs(tx)
    await meow.append({ category: 'order', streamId: id }, placed(id), { client })
  })
}

for (const place of [withDrizzle, withKysely, withKnex, withTypeOrm, withPostgresJs]) {
  const id = place.name.slice('with'.length)
  await place(id)
  const [event] = await meow.load({ category: 'order', streamId: id })
  console.log(`${event!.type} by ${event!.data.id}`)
}

// A conflict is no failed query, so the transaction can still be committed.
await sql.begin(async (tx) => {
  const client = fromPostgresJs(tx)
  const stream = { category: 'order', streamId: 'Knex' }
  const refused = meow.append(stream, placed('Knex'), { client, expectedVersion: 'no-stream' })
  await refused.catch((error) => console.log(error instanceof VersionConflictError))
  await tx`insert into orders values ('after a conflict')`
})
console.log(`${(await pool.query('select from orders')).rowCount} orders`)

// Prisma generates its client from a schema of yours, so this function is not called here. A test runs the same with such a client.
interface Prisma {
  order: { create(row: { data: { id: string } }): Promise<unknown> }
  $queryRawUnsafe(query: string, ...values: unknown[]): Promise<unknown>
}
interface PrismaClient {
  $transaction(body: (tx: Prisma) => Promise<void>): Promise<void>
}

export async function withPrisma(prisma: PrismaClient, id: string) {
  await prisma.$transaction(async (tx) => {
    await tx.order.create({ data: { id } })
    const client = fromPrisma(tx)
    await meow.append({ category: 'order', streamId: id }, placed(id), { client })
  })
}

await Promise.all([sql.end(), dataSource.destroy(), knex.destroy(), kysely.destroy()]) // Kysely ends the pool

// Output:
// OrderPlaced by Drizzle
// OrderPlaced by Kysely
// OrderPlaced by Knex
// OrderPlaced by TypeOrm
// OrderPlaced by PostgresJs
// true
// 6 orders
