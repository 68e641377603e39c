import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { connect } from '../../src/index.ts'

/**
 * A process that uses a store on a server that ends sessions at the worst moments. It ends with 0 if everything worked in the
 * end, and prints uncaught errors.
 */
const [url, schema, kind] = process.argv.slice(2) as [string, string, string]
let uncaught = 0
const tell = (what: string) => (error: Error) => {
  uncaught++
  console.log(`${what}: ${error?.stack ?? error}`)
}
process.on('uncaughtException', tell('uncaught'))
process.on('unhandledRejection', tell('unhandled'))

const event = { type: 'Happened', data: {} }
const lend = kind !== 'own'
// Only the store listens for errors of the pool.
const pool = lend
  ? new pg.Pool({
      connectionString: url,
      max: kind === 'one' ? 1 : 4,
      pipeline: kind === 'pipelines',
    } as pg.PoolConfig)
  : undefined
const again = async <T>(what: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await what()
    } catch {
      await delay(5)
    }
  }
}
const options = {
  schema,
  queryTimeoutMs: 5_000,
  pollIntervalMs: 50,
  reconnectDelayMs: 50,
  listenerTimeoutMs: 1_000,
}
const open = () => connect({ ...options, ...(pool ? { pool } : { connectionString: url }) })
const meow = await again(open)
const seen = new Set<number>()
const observe = () => {
  meow.events({ category: kind }).subscribe({ next: ({ version }) => seen.add(version), error: observe })
}
observe()
let isEnough = false
process.stdin.once('data', () => (isEnough = true))
let written = 0
while (!isEnough) {
  // The owner of the pool uses connections at the same time.
  const theirs = pool ? [pool.query('select 1'), pool.query('select 2')] : []
  const ours = [1, 2, 3].map(() => again(() => meow.append({ category: kind, streamId: 'a' }, event)))
  await Promise.allSettled([...theirs, ...ours])
  written += ours.length
}
while (seen.size < written) await delay(10)
console.log('armed')
await new Promise((resolve) => process.stdin.once('data', resolve)) // from here on, sessions end again
const pending = [1, 2, 3, 4].map(() => meow.append({ category: kind, streamId: 'b' }, event).catch(() => {}))
await meow.close()
await Promise.all(pending)
await pool?.end()
await delay(50)
process.stdin.destroy()
process.exitCode = uncaught === 0 ? 0 : 1
