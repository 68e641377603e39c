export const packages = [
  '@event-driven-io/emmett@0.42.0',
  '@event-driven-io/emmett-postgresql@0.42.0',
  'pg@8',
]

/** On a pool that we end: its own may outlive it, and would die of its database being dropped. */
async function open(url, max, load, schema) {
  const { getPostgreSQLEventStore } = await load('@event-driven-io/emmett-postgresql')
  const pg = await load('pg')
  const pool = new pg.default.Pool({ connectionString: url, max })
  pool.on('error', () => {})
  const store = getPostgreSQLEventStore(url, { schema, connectionOptions: { pool } })
  return { store, close: () => store.close().then(() => pool.end()) }
}

export async function setUp(url, load) {
  const { store, close } = await open(url, 1, load, {})
  await store.schema.migrate()
  await close()
}

export async function writer(url, clients, load) {
  const { store, close } = await open(url, clients, load, { autoMigration: 'None' })
  return {
    append: (stream, data) =>
      store.appendToStream(`order-${stream}`, [{ type: 'Evt', data }], { expectedStreamVersion: 0n }),
    close,
  }
}

export async function subscribe(url, see, load) {
  const { postgreSQLEventStoreConsumer } = await load('@event-driven-io/emmett-postgresql')
  const consumer = postgreSQLEventStoreConsumer({ connectionString: url })
  consumer.reactor({ processorId: 'live', eachMessage: ({ data }) => see(data) })
  consumer.start().catch(console.error)
}
