// Appends whose answer does not come because of what happens right before or right after their COMMIT: the backend is
// killed, the server crashes, the network swallows the reply. Each event is written once, and the append says so.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AppendResult, Meow } from '../src/index.ts'
import { startFaultProxy } from './faults/proxy.ts'
import type { OwnServer } from './support/own-server.ts'
import { ownServer } from './support/own-server.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
const application = `meowmx ${storeSchema}`

// Of our own, for it crashes, and waits for a standby that there is not.
let server: OwnServer
test.before(async () => {
  server = await ownServer({ autovacuum: false })
  process.env.DATABASE_URL = server.connectionString
  await openStore({ listen: false })
  const sql = await pgClient()
  // The last step before a commit: waits for the lock.
  await sql.query(`
    create function ${storeSchema}.pause() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock_shared(4711); return null; end $$;
    create constraint trigger pause after insert on ${storeSchema}.events deferrable initially deferred
      for each row execute function ${storeSchema}.pause()`)
})
test.after(async () => {
  await closeAll()
  await server.remove()
})

/** The kinds of appends: each answers with all its results. */
const kinds: Record<string, (meow: Meow, category: string) => Promise<AppendResult[]>> = {
  'one append': async (meow, category) => [await meow.append({ category, streamId: '1' }, event)],
  'one append with an id of the caller': async (meow, category) => [
    await meow.append({ category, streamId: '1' }, { type: 'Own', data: {}, id: crypto.randomUUID() }),
  ],
  'a batch of 32': (meow, category) =>
    Promise.all(
      Array.from({ length: 32 }, (_, n) =>
        meow.append({ category, streamId: `${n % 20}` }, Array((n % 3) + 1).fill(event)),
      ),
    ),
  'a group': (meow, category) =>
    meow.appendAll(
      ['1', '2', '3'].map((streamId) => ({
        stream: { category, streamId },
        events: event,
        expectedVersion: 'no-stream' as const,
      })),
    ),
  'both lanes': (meow, category) =>
    Promise.all([
      meow.append({ category, streamId: 'large' }, { type: 'Large', data: 'x'.repeat(300 * 1024) }),
      ...Array.from({ length: 10 }, (_, n) => meow.append({ category, streamId: `${n}` }, event)),
    ]),
}

/** The table has exactly the events of the answers: every event once, at its position and with its content, and no other. */
async function compare(meow: Meow, category: string, results: AppendResult[]): Promise<void> {
  const { events } = await meow.read({ category }, { limit: 10_000 })
  const said = results.flatMap((result) => result.events)
  assert.equal(
    said.toSorted((a, b) => a.position - b.position),
    events,
  )
  // With ids of the caller, it is unknown whether an earlier call wrote them.
  const made = results.filter(({ events }) => !events.some(({ type }) => type === 'Own'))
  assert.ok(made.every(({ deduplicated }) => !deduplicated))
}

/** Waits until appends wait for that, and returns their processes. */
async function waiting(event: string): Promise<number[]> {
  const sql = await pgClient()
  const pids = await until(
    async () => {
      const { rows } = await sql.query(
        'select pid from pg_stat_activity where application_name = $1 and wait_event = $2',
        [application, event],
      )
      return rows.length > 0 ? rows.map(({ pid }) => pid as number) : undefined
    },
    { what: `an append to wait for ${event}` },
  )
  await sql.end()
  return pids!
}

/** Ends a process in some way, while it is before or after its commit. */
const ends: Record<string, (pids: number[]) => Promise<void>> = {
  'its backend is ended': async (pids) => {
    const sql = await pgClient()
    await sql.query('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [pids])
    await sql.end()
  },
  'the server crashes': async () => {
    await server.kill()
    await server.start()
  },
}

for (const [kind, append] of Object.entries(kinds)) {
  test(`${kind}, the reply to its COMMIT is lost`, async () => {
    const proxy = await startFaultProxy(server.connectionString)
    const meow = await openStore({ connectionString: proxy.url, listen: false })
    const category = uniqueName('reply')
    await meow.read({})
    proxy.loseAnswers(kind === 'both lanes' ? 2 : 1)
    await compare(meow, category, await append(meow, category))
    await meow.close()
    await proxy.close()
  })

  for (const [how, end] of Object.entries(ends)) {
    test(`${kind}, ${how} right before COMMIT`, async () => {
      const meow = await openStore({ listen: false })
      const category = uniqueName('before')
      const lock = await pgClient()
      await lock.query('select pg_advisory_lock(4711)')
      const appending = append(meow, category)
      appending.catch(() => {})
      const pids = await waiting('advisory')
      assert.equal((await meow.read({ category })).events, [])
      await end(pids)
      await lock.end().catch(() => {})
      await compare(meow, category, await appending)
      await meow.close()
    })

    test(`${kind}, ${how} right after COMMIT`, async () => {
      const meow = await openStore({ listen: false })
      const category = uniqueName('after')
      const admin = await pgClient()
      // Committed on this server, and the answer waits for a standby.
      await admin.query(`alter system set synchronous_standby_names = 'nobody'`)
      await admin.query('select pg_reload_conf()')
      const told = await pgClient()
      await until(
        async () => (await told.query('show synchronous_standby_names')).rows[0].synchronous_standby_names,
        { what: 'the setting' },
      )
      const appending = append(meow, category)
      appending.catch(() => {})
      const pids = await waiting('SyncRep')
      await admin.query('alter system reset synchronous_standby_names')
      // While the answer waits, the file is not read again before the process has ended.
      await end(pids)
      const again = await pgClient()
      await again.query('select pg_reload_conf()')
      await compare(meow, category, await appending)
      await meow.close()
    })
  }
}

test.run()
