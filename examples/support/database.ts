import { randomBytes } from 'node:crypto'
import { startPostgres } from 'meowmx/embedded'
import pg from 'pg'

/** An empty database for one run of an example: on DATABASE_URL's server, else on a throw-away one. Gone at the end. */
export async function openDatabase(): Promise<AsyncDisposable & { connectionString: string }> {
  const server = process.env.DATABASE_URL ? undefined : await startPostgres()
  const url = new URL(process.env.DATABASE_URL ?? server!.connectionString)
  const name = `meowmx_example_${randomBytes(4).toString('hex')}`
  const admin = async (sql: string) => {
    const client = new pg.Client(url.href)
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }
  await admin(`create database ${name}`)
  const own = new URL(url)
  own.pathname = name
  return {
    connectionString: own.href,
    [Symbol.asyncDispose]: async () => {
      await admin(`drop database ${name} with (force)`)
      await server?.stop()
    },
  }
}
