// The simulated database behaves like PostgreSQL with our SQL: the same random calls on both give the same answers.
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import type { Transaction } from './simulation/database.ts'
import { SimulatedDatabase } from './simulation/database.ts'
import type { Random } from './support/random.ts'
import { random, seeded } from './support/random.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

test.after(closeAll)
const nobody = { notify() {}, committed() {}, checkpoint() {}, granted() {}, refused() {}, parked() {} }
const text = (rows: unknown) =>
  JSON.parse(JSON.stringify(rows), (_, value) => (typeof value === 'number' ? String(value) : value))

async function store(): Promise<{ meow: Meow; connect(): Promise<pg.Client> }> {
  const schema = uniqueName('model')
  const meow = await openStore({ schema, listen: false })
  const connect = async () => {
    const client = await pgClient()
    await client.query(`set search_path = ${schema}`)
    return client
  }
  return { meow, connect }
}

/** Rows as a Queries gives them: arrays of text. */
async function rows(client: pg.Client, query: string, values: unknown[]): Promise<unknown[][]> {
  const result = await client.query<unknown[]>({
    text: query,
    values,
    rowMode: 'array',
    types: { getTypeParser: () => (value: string) => value },
  } as pg.QueryArrayConfig)
  return result.rows
}

const dice = seeded('simulation-model')

test('horizons and pages, while transactions are open', async () => {
  for (let round = 0; round < 5; round++) await transactions(random(dice.int(0, 2 ** 31)))
})

async function transactions(dice: Random): Promise<void> {
  const { meow, connect } = await store()
  const sql = await connect()
  const model = new SimulatedDatabase(1, () => 0, nobody)
  const keys = await rows(sql, `select category_key('a'), category_key('b'), store_key()`, [])
  const [a, b, all] = keys[0]!.map(String)
  const names: Record<string, string> = { [a!]: '1', [b!]: '2', [all!]: '100' }
  const idle = [await connect(), await connect(), await connect()]
  const open: { client: pg.Client; transaction: Transaction }[] = []
  for (let step = 0; step < 120; step++) {
    const what = dice.int(0, 9)
    const one = open.length > 0 ? dice.pick(open) : undefined
    if (what < 3 && idle.length > 0) {
      const category = dice.pick(['a', 'b'])
      const transaction = model.begin(category, `${category}${dice.int(0, 2)}`)
      if (!transaction) continue
      const client = idle.pop()!
      await client.query('begin')
      await client.query('select announce($1)', [category])
      open.push({ client, transaction })
    } else if (what < 6 && one) {
      const { category, streamId } = one.transaction
      model.append(one.transaction)
      const { version, position } = one.transaction.rows.at(-1)!
      const { events } = await meow.append(
        { category, streamId },
        { type: 'T', data: null },
        { client: one.client },
      )
      assert.equal([events[0]!.version, events[0]!.position], [version, position])
    } else if (one) {
      const how = dice.chance(0.7) ? 'commit' : 'rollback'
      await one.client.query(how)
      model.end(one.transaction, how)
      open.splice(open.indexOf(one), 1)
      idle.push(one.client)
    }
    const known = dice.chance(0.5) ? model.head : null
    const real = (await rows(sql, 'select key, horizon, head from horizons($1)', [known])).map(
      ([key, ...rest]) => [key === null ? null : names[String(key)], ...rest],
    )
    const byKey = (all: unknown[][]) => all.map((row) => JSON.stringify(row)).sort()
    assert.equal(byKey(real), byKey(model.horizons(known) as never))
    const [after, until] = [dice.int(0, model.head), dice.int(0, model.head)]
    const page = await rows(
      sql,
      `select position, version, category, stream_id from events
       where category = 'a' and position > $1 and position <= $2 order by position limit 3`,
      [after, until],
    )
    assert.equal(
      page,
      model
        .page(after, until, 3, 'a')
        .map(([position, , , version, category, stream]) => [position, version, category, stream]),
    )
  }
  for (const { client } of open) await client.query('rollback')
}

test('claims, checkpoints, releases and parked streams, by old and new owners', async () => {
  for (let round = 0; round < 5; round++) await owners(random(dice.int(0, 2 ** 31)))
})

async function owners(dice: Random): Promise<void> {
  const { connect } = await store()
  const sql = await connect()
  const partitions = dice.int(1, 5)
  await sql.query(`select subscribe('s', null, null, null, $1, 0)`, [partitions])
  let now = 0
  const model = new SimulatedDatabase(partitions, () => now, nobody)
  const leaseMs = 3_600_000
  const upTo = Array.from({ length: partitions }, (_, n) => n)
  const epoch = (partition: number) =>
    Math.max(model.checkpoints[partition]!.epoch - (dice.chance(0.2) ? 1 : 0), 0)
  for (let step = 0; step < 150; step++) {
    const owner = `o${dice.int(0, 3)}`
    const some = upTo.filter(() => dice.chance(0.5))
    const epochs = some.map(epoch)
    const positions = some.map(() => dice.int(0, 1_000))
    const [partition, stream] = [dice.int(0, partitions - 1), `s${dice.int(0, 3)}`]
    const position = dice.int(1, 1_000)
    const one = epoch(partition)
    switch (dice.int(0, 8)) {
      case 0:
      case 1: {
        const real = await rows(
          sql,
          `select partition, epoch, reached, fresh, share from claim('s', $1, $2, $3, $4)`,
          [owner, leaseMs, some, epochs],
        )
        const simulated = model.claim(owner, leaseMs, some, epochs).map((row) => row.slice(0, 5))
        const sorted = (all: unknown[][]) =>
          text(all)
            .map((row: unknown) => JSON.stringify(row))
            .sort()
        assert.equal(sorted(real), sorted(simulated as never))
        break
      }
      case 2:
        assert.equal(
          await rows(sql, `select advance('s', $1, $2, $3, $4)`, [leaseMs, some, epochs, positions]),
          model.advance(leaseMs, some, epochs, positions),
        )
        break
      case 3: {
        const leaving = dice.chance(0.5)
        assert.equal(
          await rows(sql, `select release('s', $1, $2, $3, $4, $5)`, [
            owner,
            some,
            epochs,
            positions,
            leaving,
          ]),
          model.release(owner, some, epochs, positions, leaving),
        )
        break
      }
      case 4: {
        const replaying = dice.chance(0.5)
        // Half of them come again, as after a lost answer.
        const at = (dice.chance(0.5) && model.parked.get(stream)?.position) || position
        assert.equal(
          await rows(sql, `select park('s', $1, $2, 'a', $3, $4, 2, 'error', $5)`, [
            partition,
            one,
            stream,
            at,
            replaying,
          ]),
          model.park(partition, one, 'a', stream, at, 2, replaying),
        )
        break
      }
      case 5: {
        const to = dice.chance(0.5) ? position : null
        assert.equal(
          await rows(sql, `select replayed('s', $1, $2, 'a', $3, $4)`, [partition, one, stream, to]),
          model.moveAside(partition, one, stream, to),
        )
        break
      }
      case 6:
        await rows(sql, `select replay_parked('s')`, [])
        model.replayParked()
        break
      case 7:
        await rows(sql, `select discard_parked('s', $1, null, 'no use')`, [stream])
        if (model.parked.get(stream)?.replaying === false) model.discard(stream)
        break
      default: {
        // Some lease runs out.
        now += 1
        const gone = dice.pick(upTo)
        model.checkpoints[gone]!.leaseUntil = now
        await sql.query(
          `update checkpoints set lease_until = clock_timestamp() where partition = $1 and owner is not null`,
          [gone],
        )
      }
    }
    const real = await rows(sql, 'select position, epoch, owner from checkpoints order by partition', [])
    assert.equal(
      real,
      model.checkpoints.map(({ position, epoch, owner }) => [String(position), String(epoch), owner]),
    )
    const aside = await rows(
      sql,
      `select category, stream_id, position, attempts, replaying, discarded from parked_events order by stream_id`,
      [],
    )
    assert.equal(
      aside,
      model
        .parkedStreams(upTo)
        .map((row) => row.slice(1))
        .sort(([, one], [, other]) => (one! < other! ? -1 : 1)),
    )
  }
}

test('the publisher, the notifications that appends leave to it, and who receives which', async () => {
  for (let round = 0; round < 5; round++) await publishers(random(dice.int(0, 2 ** 31)))
})

async function publishers(dice: Random): Promise<void> {
  const { connect } = await store()
  const sql = await connect()
  const [{ schema }] = (await sql.query('select current_schema() as schema')).rows
  let now = 10_000
  // A clock that stands still until the test moves it.
  await sql.query(`create table clock as select ${now}::bigint as now`)
  await sql.query(
    'create or replace function now_ms() returns bigint language sql volatile return (select now from clock)',
  )
  const heard = { real: new Map<string, number>(), model: new Map<string, number>() }
  const hear = (by: keyof typeof heard, channel: string, payload: string) =>
    heard[by].set(channel, Math.max(heard[by].get(channel) ?? 0, Number(payload)))
  const ear = await connect()
  const channels: Record<string, string> = { [`${schema}.a`]: 'a', [`${schema}.b`]: 'b', [schema]: '*' }
  for (const channel of Object.keys(channels)) await ear.query(`listen "${channel}"`)
  ear.on('notification', ({ channel, payload }) => hear('real', channels[channel]!, payload!))
  const model = new SimulatedDatabase(1, () => now, {
    ...nobody,
    notify: (channel, payload) => hear('model', channel, payload),
  })
  const keys = await rows(sql, `select category_key('a'), category_key('b'), store_key()`, [])
  const [a, b, all] = keys[0]!.map(String)
  const numbers: Record<string, number> = { [a!]: 1, [b!]: 2, [all!]: 100 }
  const owners = [randomUUID(), randomUUID()]
  // The result of a fetch, in a form that both have.
  let real = ['{}', '{}', '0', 0] as [string, string, string, number]
  let simulated = real
  const idle = [await connect(), await connect(), await connect()]
  const open: { client: pg.Client; transaction: Transaction }[] = []
  for (let step = 0; step < 120; step++) {
    const one = open.length > 0 ? dice.pick(open) : undefined
    const owner = dice.pick(owners)
    switch (dice.int(0, 11)) {
      case 0:
      case 1: {
        const category = dice.pick(['a', 'b'])
        if (idle.length === 0) break
        const transaction = model.begin(category, `${category}${dice.int(0, 2)}`)
        if (!transaction) break
        const client = idle.pop()!
        await client.query('begin')
        await client.query('select announce($1)', [category])
        open.push({ client, transaction })
        break
      }
      case 2:
      case 3:
      case 4:
        if (!one) break
        model.append(one.transaction)
        model.decide(one.transaction)
        // Not by the store, which would check whether to become the publisher.
        await one.client.query(`select from append($1, $2, '{"type": "T", "data": null}')`, [
          one.transaction.category,
          one.transaction.streamId,
        ])
        break
      case 5:
      case 6: {
        if (!one) break
        const how = dice.chance(0.7) ? 'commit' : 'rollback'
        await one.client.query(how)
        model.end(one.transaction, how)
        open.splice(open.indexOf(one), 1)
        idle.push(one.client)
        break
      }
      case 7: {
        const claimed = await rows(sql, 'select claim_publishing($1)', [owner])
        assert.equal(claimed, model.claimPublishing(owner))
        if (claimed[0]![0] !== null) real = simulated = ['{}', '{}', String(claimed[0]![0]), 0]
        break
      }
      case 8: {
        const [published, coalescing] = [Number(real[2]), dice.chance(0.7)]
        const renewed = await rows(sql, 'select renew_publishing($1, $2, $3)', [owner, published, coalescing])
        assert.equal(renewed, model.renewPublishing(owner, published, coalescing))
        break
      }
      case 9: {
        const [row] = (await rows(sql, 'select * from publish($1, $2, $3, $4)', real)) as [string[]]
        const [same] = model.publish(simulated[0], simulated[1], Number(simulated[2]), simulated[3])
        assert.equal(row!.slice(2, 6), same!.slice(2, 6))
        const held = (keys: string, bounds: string, name: (key: string) => number) => {
          const [by, at] = [keys, bounds].map((array) => array.slice(1, -1).split(',').filter(Boolean))
          return by!.map((key, i) => `${name(key)}: ${at![i]}`).sort()
        }
        assert.equal(
          held(row[0]!, row[1]!, (key) => numbers[key]!),
          held(same![0]!, same![1]!, Number),
        )
        real = [row[0]!, row[1]!, row[2]!, Number(row[3])]
        simulated = [same![0]!, same![1]!, same![2]!, Number(same![3])]
        break
      }
      case 10:
        assert.equal(await rows(sql, 'select end_publishing($1)', [owner]), model.endPublishing(owner))
        break
      default:
        now += dice.pick([1, 100, 499, 500, 1_000, -300])
        await sql.query('update clock set now = $1', [now])
    }
    await ear.query('select') // notifications arrive before the answer
    assert.equal([...heard.real].sort(), [...heard.model].sort())
    heard.real.clear()
    heard.model.clear()
    const lease = await rows(sql, 'select owner, until, published, closed from publisher', [])
    const { owner: by, until, published, closed } = model.lease
    assert.equal(lease, by === null ? [] : [[by, String(until), String(published), closed ? 't' : 'f']])
  }
  for (const { client } of open) await client.query('rollback')
}

test.run()
