// @push
// Every role that can connect can send anything on the store's channels: a flood of foreign notifications causes no error,
// loses and delays nothing, and costs a bounded number of queries; none after it ends. Polls are a minute apart.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collect } from './support/collect.ts'
import { countingPool } from './support/counting-pool.ts'
import { seeded } from './support/random.ts'
import { current, listening } from './support/status.ts'
import {
  closeAll,
  databaseUrl,
  fromNow,
  openStore,
  pgClient,
  storeSchema,
  uniqueName,
} from './support/store.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
const BURST = 5_000

const kinds: Record<string, (n: number) => string> = {
  'no number': (n) => `junk ${n}`,
  'numbers beyond any position': (n) => String(9_007_199_254_740_991n + BigInt(n - BURST)),
  'numbers beyond any number': (n) => `${n}e400`,
  'negative numbers': (n) => String(-n),
  'positions that are to come': (n) => String(n + 1_000),
  'payloads of 7,999 bytes': (n) => `${n} `.padEnd(7_999, 'x'),
}

test.after(closeAll)

test('floods from a role without rights', async () => {
  const dice = seeded('junk')
  const { pool, queries } = countingPool()
  const complaints: unknown[] = []
  const complain = (...args: unknown[]) => complaints.push(args)
  const logger = { debug() {}, info() {}, warn: complain, error: complain }
  const meow = await openStore({
    pool,
    logger,
    pollIntervalMs: 60_000,
    listenConnectionString: databaseUrl(),
  })
  const writer = await openStore({ listen: false })
  await listening(meow)
  const { since } = current(meow.status$)
  const [category, name] = [uniqueName('junk'), uniqueName('junk')]
  const now = await fromNow(meow)
  const seen = [{ category }, {}].map((selector) => collect(meow.events(selector, now)))
  const handled: number[] = []
  // Nothing of its own to do meanwhile: leases are renewed, and partitions looked for, a third of a minute apart.
  const worker = meow
    .subscription(name, { category, leaseMs: 60_000 })
    .process(({ version }) => handled.push(version))
  await worker.ready

  const admin = await pgClient()
  const role = uniqueName('stranger')
  await admin.query(`create role ${role} login`)
  const url = new URL(databaseUrl())
  url.username = role
  url.password = ''
  const stranger = await pgClient({ connectionString: url.href })
  const refused = await stranger.query(`select from ${storeSchema}.events`).catch((error) => error)
  assert.is(refused.code, '42501', 'the role has no rights on the store')
  const { rows } = await admin.query(`select ${storeSchema}.wake_channel($1) as channel`, [name])
  const channels = [storeSchema, `${storeSchema}.${category}`, rows[0].channel as string]

  let version = -1
  const lags: number[] = []
  /** Appends one, and waits until it was seen and handled. */
  const arrive = async () => {
    const begin = performance.now()
    version++
    await writer.append({ category, streamId: '1' }, event)
    for (const { all } of seen)
      await until(() => all.at(-1)?.version === version, { what: `event ${version}` })
    await until(() => handled.at(-1) === version, { what: `event ${version} to be handled` })
    lags.push(performance.now() - begin)
  }
  await arrive()

  for (const [kind, payload] of Object.entries(kinds)) {
    const before = queries.length
    lags.length = 0
    let sent = 0
    const flood = (async () => {
      // As fast as one connection can: 50 a statement, each with a payload of its own, or they would count as one.
      for (let n = 1; n <= BURST; n += 50) {
        const payloads = Array.from({ length: 50 }, (_, i) => payload(n + i))
        await stranger.query('select pg_notify($1, payload) from unnest($2::text[]) as payload', [
          dice.pick(channels),
          payloads,
        ])
        sent += 50
      }
    })()
    await arrive()
    await arrive()
    await flood
    await arrive()
    const asked = queries.length - before
    console.log(
      `${sent} notifications, ${kind}: ${asked} queries, events after ${lags.map(Math.round).join(', ')} ms`,
    )
    assert.is(sent, BURST)
    assert.ok(asked < BURST / 5, `${asked} queries of ours for ${BURST} notifications, ${kind}`)
    assert.ok(Math.max(...lags) < 3_000, `an event took ${Math.max(...lags)} ms among ${kind}`)

    // And none once it is over: while ten foreign queries are answered, it sends at most the renewal of its leases.
    const after = queries.length
    for (let i = 0; i < 10; i++) await admin.query('select pg_sleep(0.02)')
    assert.ok(queries.length - after <= 5, `${queries.slice(after).join('\n')}\nafter ${kind}`)
  }

  const versions = Array.from({ length: version + 1 }, (_, n) => n)
  assert.equal(handled, versions)
  for (const { all } of seen) {
    assert.equal(
      all.map((one) => one.version),
      versions,
    )
  }
  assert.equal(complaints, [])
  assert.is(current(meow.status$).since, since, 'the same connection all along')
  await worker.stop()
  await meow.close()
  await pool.end()
  await stranger.end()
  await admin.query(`drop role ${role}`)
})

test.run()
