// The database functions of executors, called directly: a call with an old epoch has no effect and says so, claims are fair and
// run one at a time, a lost answer does no harm, and dead executors do not count.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Random } from './support/random.ts'
import { seeded } from './support/random.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const LEASE_MS = 60_000

let sql: pg.Client
test.before(async () => {
  await openStore()
  sql = await connection()
})
test.after(closeAll)

async function connection(): Promise<pg.Client> {
  const client = await pgClient()
  await client.query(`set search_path = ${storeSchema}`)
  return client
}

interface Grant {
  partition: number
  epoch: number
  reached: number
  fresh: boolean
}
interface Claim {
  held: Grant[]
  share: number
  waitMs: number | null
}
type Held = Pick<Grant, 'partition' | 'epoch'>

async function subscription(partitions: number): Promise<string> {
  const name = uniqueName('fence')
  await sql.query('select subscribe($1, null, null, null, $2, 0)', [name, partitions])
  return name
}

const arrays = (held: readonly Held[]) => [held.map((it) => it.partition), held.map((it) => it.epoch)]

async function claim(
  name: string,
  owner: string,
  held: readonly Held[] = [],
  { leaseMs = LEASE_MS, client = sql } = {},
): Promise<Claim> {
  const { rows } = await client.query(
    'select partition, epoch::int, reached::int, fresh, share, wait_ms from claim($1, $2, $3, $4, $5)',
    [name, owner, leaseMs, ...arrays(held)],
  )
  const grants = rows.filter(({ partition }) => partition !== null)
  return {
    held: grants.map(({ partition, epoch, reached, fresh }) => ({ partition, epoch, reached, fresh })),
    share: rows[0].share,
    waitMs: rows[0].wait_ms,
  }
}

const one = async <T>(text: string, values: unknown[], client = sql): Promise<T> =>
  Object.values((await client.query(text, values)).rows[0])[0] as T

const advance = (name: string, held: readonly Held[], positions: number[], client = sql) =>
  one<number[]>('select advance($1, $2, $3, $4, $5)', [name, LEASE_MS, ...arrays(held), positions], client)
const release = (
  name: string,
  owner: string,
  held: readonly Held[],
  positions: number[],
  leaving: boolean,
  client = sql,
) =>
  one<number[]>(
    'select release($1, $2, $3, $4, $5, $6)',
    [name, owner, ...arrays(held), positions, leaving],
    client,
  )
const park = (name: string, { partition, epoch }: Held, position: number) =>
  one<boolean>(`select park($1, $2, $3, 'c', 's', $4, 1, 'why', false)`, [name, partition, epoch, position])
const replayed = (name: string, { partition, epoch }: Held, position: number | null) =>
  one<boolean>(`select replayed($1, $2, $3, 'c', 's', $4)`, [name, partition, epoch, position])

/** Its leases have expired, and it does not count as alive. */
async function expire(name: string, owner: string): Promise<void> {
  const past = `clock_timestamp() - interval '1 ms'`
  await sql.query(`update checkpoints set lease_until = ${past} where subscription = $1 and owner = $2`, [
    name,
    owner,
  ])
  await sql.query(`update executors set alive_until = ${past} where subscription = $1 and owner = $2`, [
    name,
    owner,
  ])
}

async function checkpoints(name: string) {
  const { rows } = await sql.query(
    'select partition, position::int, epoch::int, owner from checkpoints where subscription = $1 order by partition',
    [name],
  )
  return rows as { partition: number; position: number; epoch: number; owner: string | null }[]
}

test('an executor whose partition was taken can’t move, park, replay or release anything, and learns it', async () => {
  const name = await subscription(2)
  const zombie = (await claim(name, 'zombie')).held
  assert.equal(await advance(name, zombie, [10, 10]), [0, 1])
  await expire(name, 'zombie')
  const heir = (await claim(name, 'heir')).held
  assert.equal(
    heir.map(({ partition, reached, fresh }) => [partition, reached, fresh]),
    [
      [0, 10, true],
      [1, 10, true],
    ],
  )
  assert.ok(heir.every(({ epoch }, i) => epoch > zombie[i]!.epoch))
  assert.ok(await park(name, heir[0]!, 11))
  const before = [await checkpoints(name), (await sql.query('select * from parked_events')).rows]

  assert.equal(await advance(name, zombie, [99, 99]), [])
  assert.not(await park(name, zombie[0]!, 5))
  assert.not(await replayed(name, zombie[0]!, 12))
  assert.not(await replayed(name, zombie[0]!, null))
  assert.equal(await release(name, 'zombie', zombie, [99, 99], true), [])
  assert.equal([await checkpoints(name), (await sql.query('select * from parked_events')).rows], before)
  assert.equal(
    (await claim(name, 'zombie', zombie)).held.filter(({ fresh }) => !fresh),
    [],
    'nor renew',
  )

  assert.ok(await replayed(name, heir[0]!, 12))
  assert.ok(await replayed(name, heir[0]!, null))
  assert.equal(await advance(name, heir, [20, 20]), [0, 1])
})

test('one epoch of several is old: the others count', async () => {
  const name = await subscription(4)
  const held = (await claim(name, 'a')).held
  const mixed = held.map((it) => (it.partition === 2 ? { ...it, epoch: it.epoch - 1 } : it))
  assert.equal(await advance(name, mixed, [7, 7, 7, 7]), [0, 1, 3])
  assert.equal(
    (await checkpoints(name)).map(({ position }) => position),
    [7, 7, 0, 7],
  )
  const { held: kept } = await claim(name, 'a', mixed)
  assert.equal(
    kept.map(({ partition, fresh }) => [partition, fresh]),
    [
      [0, false],
      [1, false],
      [2, true],
      [3, false],
    ],
    'what is ours, and we do not know of, is taken anew',
  )
  assert.equal(await release(name, 'a', mixed, [8, 8, 8, 8], false), [0, 1, 3])
  assert.equal(
    (await checkpoints(name)).map(({ owner }) => owner),
    [null, null, 'a', null],
  )
})

test('a checkpoint never moves back, and one of a released partition does not move', async () => {
  const name = await subscription(1)
  const { held } = await claim(name, 'a')
  await advance(name, held, [50])
  assert.equal(await advance(name, held, [40]), [0])
  assert.is((await checkpoints(name))[0]!.position, 50)
  assert.equal(await release(name, 'a', held, [45], true), [0])
  assert.is((await checkpoints(name))[0]!.position, 50)
  assert.equal(await advance(name, held, [60]), [], 'nobody owns it')
  assert.not(await park(name, held[0]!, 60))
  assert.equal(await release(name, 'a', held, [60], true), [])
  assert.is((await checkpoints(name))[0]!.position, 50)
})

test('if the answer to a claim is lost, the next claim gets the same partitions, with higher epochs', async () => {
  const name = await subscription(8)
  const other = (await claim(name, 'other')).held
  assert.is(other.length, 8)
  const lost = async () => (await claim(name, 'me')).held
  assert.equal(await lost(), [], 'nothing is free')
  assert.is((await release(name, 'other', other.slice(4), [0, 0, 0, 0], false)).length, 4)
  const first = await lost()
  const second = await lost()
  assert.equal(
    first.map(({ partition }) => partition),
    [4, 5, 6, 7],
  )
  assert.equal(
    second.map(({ partition }) => partition),
    [4, 5, 6, 7],
  )
  assert.ok(second.every(({ epoch, fresh }, i) => fresh && epoch > first[i]!.epoch))
  assert.equal(await advance(name, first, [1, 1, 1, 1]), [], 'the first answer, come late, is worth nothing')
  assert.equal(
    (await claim(name, 'me', second)).held.map(({ fresh }) => fresh),
    Array(4).fill(false),
  )
})

test('an executor that left does not count; one whose lease expired counts once when it returns', async () => {
  const name = await subscription(8)
  const held = new Map<string, Grant[]>()
  const turn = async (owner: string) => {
    const result = await claim(name, owner, held.get(owner))
    const [kept, surplus] = [result.held.slice(0, result.share), result.held.slice(result.share)]
    if (surplus.length > 0)
      await release(
        name,
        owner,
        surplus,
        surplus.map(() => 0),
        false,
      )
    held.set(owner, kept)
    return result
  }
  for (const owner of ['a', 'b', 'c', 'd', 'a', 'b', 'c', 'd']) await turn(owner)
  assert.equal(
    [...held.values()].map(({ length }) => length),
    [2, 2, 2, 2],
  )
  await expire(name, 'b')
  await expire(name, 'c')
  for (const owner of ['a', 'd']) assert.is((await turn(owner)).share, 4)
  assert.equal([held.get('a')!.length, held.get('d')!.length], [4, 4])
  const back = await turn('b')
  assert.is(back.share, 2, 'three are alive, and he joined last')
  assert.equal(back.held, [])
  assert.is((await turn('a')).share, 3)
})

test('wait_ms is when the first lease of another runs out, by the clock of the database', async () => {
  const name = await subscription(2)
  assert.is((await claim(name, 'a')).waitMs, null)
  const { waitMs } = await claim(name, 'b')
  assert.ok(waitMs! > LEASE_MS - 30_000 && waitMs! <= LEASE_MS, `${waitMs}`)
})

test('ten that claim at the same time: no partition has two owners, and the shares are fair', async () => {
  const dice = seeded('claims')
  for (const partitions of [1, 7, 8, 32]) await scramble(partitions, dice)
})

/** Executors that start, claim, release what is above their share, and leave, each on a connection of its own. */
async function scramble(partitions: number, dice: Random): Promise<void> {
  const name = await subscription(partitions)
  const rounds = 30
  const history: { partition: number; epoch: number; owner: string }[] = []
  const held = new Map<string, Grant[]>()
  const owners = upTo(10).map((n) => `owner ${n}`)
  const handOver = async (owner: string, some: readonly Grant[], leaving: boolean, client: pg.Client) => {
    if (some.length === 0 && !leaving) return
    const positions = some.map(() => 0)
    const released = await release(name, owner, some, positions, leaving, client)
    assert.equal(released.length, some.length, 'they were his')
  }
  const claimOnce = async (owner: string, client: pg.Client) => {
    // Now and then the answer is lost.
    if (dice.chance(0.1)) await claim(name, owner, held.get(owner), { client })
    const result = await claim(name, owner, held.get(owner), { client })
    for (const { partition, epoch, fresh } of result.held)
      if (fresh) history.push({ partition, epoch, owner })
    const known = held.get(owner) ?? []
    for (const { partition, epoch } of known)
      assert.ok(
        result.held.some((it) => it.partition === partition && it.epoch >= epoch),
        'what he held he still holds',
      )
    held.set(owner, result.held.slice(0, result.share))
    await handOver(owner, result.held.slice(result.share), false, client)
    return result
  }
  await Promise.all(
    owners.map(async (owner) => {
      const client = await connection()
      for (let round = 0; round < rounds; round++) {
        await claimOnce(owner, client)
        if (dice.chance(0.15)) {
          await handOver(owner, held.get(owner)!, true, client)
          held.set(owner, [])
        }
      }
      await claimOnce(owner, client)
      await client.end()
    }),
  )
  // A lost answer may have been one of more partitions than what is fair by now: that lease has to run out.
  const known = [...held.values()].flat()
  for (const { partition, epoch } of await checkpoints(name))
    if (!known.some((it) => it.partition === partition && it.epoch === epoch))
      await sql.query(
        'update checkpoints set lease_until = clock_timestamp() where subscription = $1 and partition = $2',
        [name, partition],
      )
  // Once no executor starts or leaves, two rounds make the shares even.
  for (const _ of upTo(2)) for (const owner of owners) await claimOnce(owner, sql)
  const now = await checkpoints(name)
  assert.ok(now.every(({ owner }) => owner !== null))
  const shares = owners.map((owner) => now.filter((it) => it.owner === owner).length)
  assert.is(
    shares.reduce((sum, share) => sum + share),
    partitions,
  )
  assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, `shares ${shares}`)
  assert.equal(
    owners.map((owner) => held.get(owner)!.length),
    shares,
    'each knows of what is his',
  )
  const grants = history.map(({ partition, epoch }) => `${partition}/${epoch}`)
  assert.is(new Set(grants).size, grants.length, 'no epoch of a partition was given twice')
}

test('claims, acks and releases at the same time never deadlock', async () => {
  const dice = seeded('deadlocks')
  const partitions = 32
  const name = await subscription(partitions)
  const others = await Promise.all(upTo(3).map(connection))
  let held = (await claim(name, 'me')).held
  assert.is(held.length, partitions)
  const errors: string[] = []
  const failed = (error: Error) => void errors.push(error.message)
  let acks = 0
  let renewals = 0
  const done = () => (acks >= 2_000 && renewals >= 2_000) || errors.length > 0
  const shuffled = () =>
    held
      .map((it) => [dice.next(), it] as const)
      .sort(([a], [b]) => a - b)
      .map(([, it]) => it)
      .slice(0, dice.int(2, partitions))
  await Promise.all([
    (async () => {
      while (!done()) {
        const result = await claim(name, 'me', held, { client: others[0]! }).catch(failed)
        if (result) held = result.held
        renewals++
      }
    })(),
    (async () => {
      while (!done()) {
        const some = shuffled()
        acks++
        await advance(
          name,
          some,
          some.map(() => acks),
          others[1]!,
        ).catch(failed)
      }
    })(),
    // Plans change with what the planner knows, and the order in which rows are locked with them.
    (async () => {
      while (!done()) await until(() => others[2]!.query('analyze checkpoints'), { what: 'analyze' })
    })(),
  ])
  console.log(`${renewals} claims, ${acks} acks, ${errors.length} deadlocks`)
  assert.equal(errors, [])
})

test.run()
