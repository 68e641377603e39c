import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { ConnectOptions, Meow } from '../../src/index.ts'
import { connect } from '../../src/index.ts'
import { theWay } from './ways.ts'

/** The schema that `openStore` takes by default: one for all stores of a test file, so that a file pays for one migration. */
export let storeSchema = uniqueName('test')
const migrated = new Map<string, Promise<unknown>>()
const opened = new Set<{ close(): Promise<unknown> }>()

/** The address of the server under test. */
export function databaseUrl(): string {
  const url = process.env.DATABASE_URL
  if (!url) throw new Error('DATABASE_URL is not set: run this file through test/run.ts')
  return url
}

const pooler = process.env.DATABASE_URL

/** The same for who needs a session to himself: past the pooler, where there is one. */
export function directUrl(): string {
  const url = databaseUrl() // a file may have set up a server of its own
  return url === pooler ? (process.env.MEOWMX_DIRECT_URL ?? url) : url
}

/** A name that no other test uses: for a category, a schema, a subscription, a role. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll('-', '').slice(-12)}`
}

/**
 * A store of its own, migrated, on the server under test; closed by `closeAll`. All stores of one file share a schema
 * unless `schema` says otherwise, so use a category of your own in each test.
 */
export async function openStore({ schema = storeSchema, ...options }: ConnectOptions = {}): Promise<Meow> {
  const address = options.pool ? {} : { connectionString: databaseUrl() }
  const meow = await connect(theWay({ ...address, ...options, schema }))
  opened.add(meow)
  if (!migrated.has(schema)) migrated.set(schema, meow.migrate())
  await migrated.get(schema)
  return meow
}

/** Where to begin for what is appended from here on: `from: 'end'` is found out later, by a query of the tail's own. */
export async function fromNow(meow: Meow): Promise<{ from: { after: number } }> {
  return { from: { after: (await meow.read({})).position } }
}

/** A connection for raw SQL, connected; closed by `closeAll`. */
export async function pgClient(config: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: directUrl(), application_name: 'test', ...config })
  await client.connect()
  const entry = { close: () => client.end() }
  client.on('error', () => {}) // a connection that a test breaks on purpose
  opened.add(entry)
  return client
}

/** For `test.after`: closes all that was opened here, and drops the file's schema. */
export async function closeAll(): Promise<void> {
  await Promise.all([...opened].map((one) => one.close().catch(() => {})))
  opened.clear()
  const client = new pg.Client({ connectionString: directUrl() })
  await client.connect()
  for (const schema of migrated.keys()) {
    await client.query(`drop schema if exists ${client.escapeIdentifier(schema)} cascade`)
  }
  await client.end()
  migrated.clear()
  storeSchema = uniqueName('test') // of the next file of this process
}
