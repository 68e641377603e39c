// Whatever order transactions commit in, every observer gets exactly the committed events, each once, in the order of
// their positions, and no foreign transaction delays one (I1, I2, I3, I7). 24 writers at once, at random: SEED=… repeats the
// decisions of a run, but not its timing.
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, NewEvent, RecordedEvent, Selector } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { copyIn } from './support/copy.ts'
import type { Random } from './support/random.ts'
import { random, seeded } from './support/random.ts'
import { closeAll, directUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const WRITING_MS = 5_000
const schema = uniqueName('order')
const categories = Array.from({ length: 10 }, (_, i) => `category ${i}`)
const types = ['Made', 'Sent', 'Kept', 'Lost']

let foreignDatabase: string | undefined
test.after(async () => {
  await closeAll()
  if (!foreignDatabase) return
  const client = await pgClient()
  await client.query(`drop database if exists ${foreignDatabase}`)
  await client.end()
})

test('24 writers, 14 observers: exactly the committed events, in order, not delayed by open foreign transactions', async () => {
  const dice = seeded('commit order')
  const stores = await Promise.all([1, 2, 3].map(() => openStore({ schema })))
  const watching = await openStore({ schema })
  const polling = await openStore({ schema, listen: false, pollIntervalMs: 20 })
  const foreign = await openForeignTransactions()

  // Observers from the start.
  const observers: Observer[] = [
    observe('a category', watching, { category: 'category 0' }),
    observe('the same category again', watching, { category: 'category 0' }),
    observe('three categories', watching, { category: ['category 1', 'category 2', 'category 3'] }),
    observe('nine categories', watching, { category: categories.slice(0, 9) }),
    observe('all', watching, {}),
    observe('two types of all', watching, { types: ['Made', 'Lost'] }),
    observe('all, polled', polling, {}),
    iterate('all, iterated by who is slow', watching, random(dice.int(0, 1e9))),
    handle('a subscription', watching, { category: 'category 4' }),
    handle('a subscription to all', stores[0]!, {}),
    pages('all, by read()', polling, {}, random(dice.int(0, 1e9))),
    pages(
      'two categories, by read()',
      polling,
      { category: categories.slice(5, 7) },
      random(dice.int(0, 1e9)),
    ),
  ]
  const naive = readNaively(await pgClient())

  const end = Date.now() + WRITING_MS
  // A slow machine needs more time to write this much.
  const latest = end + 60_000
  const enough = () => observers.some(({ seen }) => seen.length > 2_500)
  const writers = [
    ...stores.flatMap((store) => [1, 2, 3].map(() => appends(store))),
    ...stores.flatMap((store) => [1, 2, 3].map(() => transactions(store))),
    ...['insert', 'insert', 'insert', 'copy', 'copy', 'copy'].map((how, i) => rawWriter(`raw ${i}`, how)),
  ].map(async (write) => {
    const own = random(dice.int(0, 4_294_967_295))
    while (Date.now() < end || (!enough() && Date.now() < latest)) await write(own)
  })
  assert.is(writers.length, 24)

  await until(() => observers[4]!.seen.length > 300, { what: '300 events', timeoutMs: 60_000 })
  const { position } = observers[4]!.seen.at(-1)!
  observers.push(observe('a late one', watching, {}))
  observers.push(observe('a late one, from a position', stores[1]!, {}, position))
  await Promise.all(writers)

  const sql = await pgClient()
  const { rows: truth } = await sql.query<{
    at: string
    category: string
    stream: string
    type: string
    version: number
  }>(
    `select position as at, category, stream_id as stream, type, version from ${schema}.events order by position`,
  )
  for (const observer of observers) {
    const due = truth.filter((event) => observer.wants(event)).map(({ at }) => Number(at))
    await until(() => observer.error || (observer.seen.at(-1)?.position ?? 0) >= due.at(-1)!, {
      what: `the last of ${due.length} events, by ${observer.name}, which has ${observer.seen.length}`,
      timeoutMs: 60_000,
    })
    if (observer.error) throw observer.error
    const positions = observer.seen.map(({ position }) => position)
    assert.is(difference(positions, due), '', `${observer.name}, of ${due.length} events`)
  }
  for (const transaction of foreign)
    assert.ok(await transaction.isOpen(), 'open all along, and nothing waited for it')

  // What this run was made of.
  const versions = new Map<string, number>()
  for (const { category, stream, version } of truth) {
    const key = `${category}/${stream}`
    assert.is(version, (versions.get(key) ?? -1) + 1, `${key} in the order of positions`)
    versions.set(key, version)
  }
  const gaps = Number(truth.at(-1)!.at) - truth.length
  const lost = await naive.lost(truth.map(({ at }) => Number(at)))
  console.log(
    `${truth.length} events in ${versions.size} streams, ${gaps} rolled back; a naive reader loses ${lost}`,
  )
  assert.ok(truth.length > 2_000, `thousands of events, got ${truth.length}`)
  assert.ok(gaps > 100, `rollbacks, got ${gaps}`)
  assert.ok(lost > 0, 'a reader without a horizon loses events here, or this test could not fail')

  await Promise.all(observers.map((observer) => observer.stop()))
  await Promise.all(foreign.map((transaction) => transaction.rollback()))
})

interface Observer {
  name: string
  seen: RecordedEvent[]
  error?: unknown
  wants(event: { at: string; category: string; type: string }): boolean
  stop(): unknown
}

const wanted =
  (selector: Selector, after = 0): Observer['wants'] =>
  ({ at, category, type }) =>
    Number(at) > after &&
    (selector.category === undefined || [selector.category].flat().includes(category)) &&
    (selector.types === undefined || selector.types.includes(type))

function observe(name: string, meow: Meow, selector: Selector, after = 0): Observer {
  const collected = collect(meow.events(selector, { from: { after } }))
  return {
    name,
    seen: collected.all,
    get error() {
      return collected.error
    },
    wants: wanted(selector, after),
    stop: () => collected.subscription.unsubscribe(),
  }
}

function iterate(name: string, meow: Meow, dice: Random): Observer {
  const stop = new AbortController()
  const observer: Observer = { name, seen: [], wants: () => true, stop: () => stop.abort() }
  const run = async () => {
    for await (const event of meow.iterate({}, { signal: stop.signal })) {
      observer.seen.push(event)
      if (dice.chance(0.02)) await delay(dice.int(0, 20))
    }
  }
  run().catch((error) => {
    observer.error = error
  })
  return observer
}

function handle(name: string, meow: Meow, selector: Selector): Observer {
  const observer: Observer = {
    name,
    seen: [],
    wants: wanted(selector),
    stop: () => worker.stop(),
  }
  const worker = meow.subscription(uniqueName('handle'), selector).process((event) => {
    observer.seen.push(event)
  })
  worker.done.catch((error) => {
    observer.error = error
  })
  return observer
}

function pages(name: string, meow: Meow, selector: Selector, dice: Random): Observer {
  let stopped = false
  const observer: Observer = {
    name,
    seen: [],
    wants: wanted(selector),
    stop: () => {
      stopped = true
    },
  }
  const run = async () => {
    for (let after = 0; !stopped; ) {
      const page = await meow.read(selector, { after, limit: dice.int(1, 300) })
      observer.seen.push(...page.events)
      after = page.position
      if (page.events.length === 0) await delay(dice.int(0, 30))
    }
  }
  run().catch((error) => {
    observer.error = error
  })
  return observer
}

/** A common mistake: read everything above the last position that was seen. */
function readNaively(client: pg.Client) {
  const seen = new Set<number>()
  let stopped = false
  const run = async () => {
    for (let last = 0; !stopped; ) {
      const { rows } = await client.query(
        `select position from ${schema}.events where position > ${last} order by position limit 1000`,
      )
      for (const { position } of rows) {
        last = Number(position)
        seen.add(last)
      }
    }
  }
  const running = run()
  return {
    lost: async (truth: number[]) => {
      const last = truth.at(-1)!
      await until(() => seen.has(last), { what: 'the naive reader' })
      stopped = true
      await running
      return truth.filter((position) => !seen.has(position)).length
    },
  }
}

const stream = (dice: Random) => ({ category: dice.pick(categories), streamId: `stream ${dice.int(0, 30)}` })
const events = (dice: Random, most: number): NewEvent[] =>
  Array.from({ length: dice.int(1, most) }, () => ({ type: dice.pick(types), data: { n: dice.int(0, 9) } }))

/** Appends of the library, which share transactions. */
function appends(meow: Meow) {
  return async (dice: Random) => {
    const conflicts = dice.chance(0.1)
    const write = dice.chance(0.2)
      ? meow.appendAll([
          { stream: stream(dice), events: events(dice, 3) },
          { stream: stream(dice), events: events(dice, 3) },
        ])
      : meow.append(stream(dice), events(dice, 3), conflicts ? { expectedVersion: dice.int(-1, 20) } : {})
    await write.catch((error) => {
      if (error.code !== 'ERR_VERSION_CONFLICT') throw error
    })
    await delay(dice.int(0, 10))
  }
}

/** Transactions of callers: appends early and late, savepoints, naps, other writes; some are rolled back. */
function transactions(meow: Meow) {
  let client: pg.Client | undefined
  return async (dice: Random) => {
    client ??= await pgClient()
    const sql = client
    const nap = () => sql.query(`select pg_sleep(${dice.next() * 0.03})`)
    const append = async () => {
      const to = stream(dice)
      if (dice.chance(0.7)) await meow.append(to, events(dice, 4), { client: sql })
      else
        await sql.query(`select from ${schema}.append($1, $2, $3)`, [
          to.category,
          to.streamId,
          JSON.stringify(events(dice, 4)),
        ])
    }
    try {
      await sql.query('begin')
      if (dice.chance(0.3)) await sql.query('select pg_current_xact_id()') // a transaction id long before the append
      for (let step = dice.int(1, 4); step > 0; step--) {
        if (dice.chance(0.4)) await nap()
        if (dice.chance(0.4)) {
          await sql.query('savepoint a')
          await append()
          if (dice.chance(0.3)) await nap()
          if (dice.chance(0.5)) await sql.query('rollback to a')
          if (dice.chance(0.5)) await sql.query('release a')
        } else {
          await append()
        }
      }
      if (dice.chance(0.5)) await nap()
      await sql.query(dice.chance(0.75) ? 'commit' : 'rollback')
    } catch (error) {
      // Two transactions that append to the same streams in another order: not what this is about.
      if ((error as { code?: string }).code !== '40P01') throw error
      await sql.query('rollback')
    }
  }
}

/** Statements that know nothing of the append function; its own streams, since it counts their versions itself. */
function rawWriter(name: string, how: string) {
  const versions = new Map<string, number>()
  let client: pg.Client | undefined
  return async (dice: Random) => {
    client ??= await pgClient()
    const sql = client
    const next = new Map(versions)
    const statement = async () => {
      const rows = Array.from({ length: dice.int(1, 5) }, () => {
        const key = `${dice.pick(categories)}\t${name} ${dice.int(0, 3)}`
        const version = next.get(key) ?? 0
        next.set(key, version + 1)
        return `${key}\t${version}\t${dice.pick(types)}\t{}`
      })
      const table = `${schema}.events (category, stream_id, version, type, data)`
      if (how === 'copy') return copyIn(sql, `copy ${table} from stdin`, `${rows.join('\n')}\n`)
      const values = rows.map((row) => `(${row.split('\t').map((value) => sql.escapeLiteral(value))})`)
      await sql.query(`insert into ${table} values ${values}`)
    }
    await sql.query('begin')
    for (let step = dice.int(1, 3); step > 0; step--) {
      if (dice.chance(0.3)) await sql.query(`select pg_sleep(${dice.next() * 0.02})`)
      await statement()
    }
    if (dice.chance(0.3)) await sql.query(`select pg_sleep(${dice.next() * 0.02})`)
    if (dice.chance(0.8)) {
      await sql.query('commit')
      for (const [key, version] of next) versions.set(key, version)
    } else {
      await sql.query('rollback')
    }
    await delay(dice.int(0, 20))
  }
}

/** A writing transaction on another table, and one in another database: to stay open all the time. */
async function openForeignTransactions() {
  const here = await pgClient()
  const table = uniqueName('foreign')
  foreignDatabase = uniqueName('foreign')
  await here.query(`create database ${foreignDatabase}`)
  const url = new URL(directUrl())
  url.pathname = `/${foreignDatabase}`
  const there = await pgClient({ connectionString: url.href })
  return Promise.all(
    [here, there].map(async (client) => {
      await client.query('begin')
      await client.query(`create table ${table} (n int)`)
      await client.query(`insert into ${table} values (1)`)
      return {
        isOpen: async () => (await client.query(`select n from ${table}`)).rows.length === 1,
        rollback: () => client.query('rollback').then(() => client.end()),
      }
    }),
  )
}

/** The first difference, as text; '' if they are the same. */
function difference(actual: number[], expected: number[]): string {
  const [got, due] = [new Set(actual), new Set(expected)]
  const missing = expected.filter((position) => !got.has(position))
  const strange = actual.filter((position) => !due.has(position))
  const disorder = actual.filter((position, i) => i > 0 && position <= actual[i - 1]!)
  const say = (what: string, list: number[]) =>
    list.length ? `${what} ${list.length}: ${list.slice(0, 9)}; ` : ''
  return say('missing', missing) + say('never committed', strange) + say('repeated or out of order', disorder)
}

test.run()
