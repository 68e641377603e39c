import type pg from 'pg'
import { freeze } from '../support/freeze.ts'
import type { Random } from '../support/random.ts'
import type { Slot, World } from './world.ts'

/** What ends a fault. */
export type Heal = () => unknown

/** Begins a fault; rejects if the server is not running. `slot`: the executor that it happens to, if it is one. */
export type Fault = (world: World, slot: Slot, dice: Random) => Heal | Promise<Heal>

const nothing: Heal = () => {}
const meow = ({ schema }: World) => `meowmx ${schema}`
const listener = ({ schema }: World) => `meowmx listener ${schema}`

/** The writers' way, or an executor's. */
const anyProxy = (world: World, { proxy }: Slot, dice: Random) => (dice.chance(0.25) ? world.writers : proxy)

const blackhole =
  (way: 'both' | 'there' | 'back'): Fault =>
  (world, slot, dice) => {
    const proxy = anyProxy(world, slot, dice)
    proxy.blackhole(way)
    // Data that was being sent arrives late, or never.
    const late = dice.chance(0.5)
    return () => {
      if (!late) proxy.reset()
      proxy.thaw()
    }
  }

/** The executors can't reach the server. */
const cutOff: Fault = async ({ slots }) => {
  await Promise.all(slots.map(({ proxy }) => proxy.cut()))
  return () => Promise.all(slots.map(({ proxy }) => proxy.heal()))
}

const foreign =
  (database: string): Fault =>
  async (world, _, dice) => {
    const client = await world.stranger(database)
    const table = `foreign_${dice.int(0, 1e9)}`
    await client.query(`begin; create table ${table} (n int); insert into ${table} values (1)`)
    return () => client.end()
  }

export const faults: Readonly<Record<string, Fault>> = {
  'terminate a listener': async (world, { proxy }) => {
    await world.terminate(await world.backends(listener(world), proxy))
    return nothing
  },
  'terminate all listeners': async (world) => {
    await world.terminate(await world.backends(listener(world)))
    return nothing
  },
  'terminate the writers': async (world) => {
    await world.terminate([
      ...(await world.backends(meow(world), world.writers)),
      ...(await world.backends('writer')),
    ])
    return nothing
  },
  'terminate an executor': async (world, { proxy }) => {
    await world.terminate(await world.backends(meow(world), proxy))
    return nothing
  },
  reset: (world, slot, dice) => {
    anyProxy(world, slot, dice).reset()
    return nothing
  },
  blackhole: blackhole('both'),
  'blackhole there': blackhole('there'),
  'blackhole back': blackhole('back'),
  slow: (world, slot, dice) => {
    const proxy = anyProxy(world, slot, dice)
    proxy.slow(dice.int(20, 200))
    return () => proxy.slow(0)
  },
  'lose answers': (world, { proxy }, dice) => {
    const both = [world.writers, proxy]
    for (const each of both) each.loseAnswers(dice.int(1, 3))
    return () => {
      for (const each of both) each.loseAnswers(0)
    }
  },
  'lose notifications': ({ slots }) => {
    for (const { proxy } of slots) proxy.loseNotifications(true)
    return () => {
      for (const { proxy } of slots) proxy.loseNotifications(false)
    }
  },
  'no listener': ({ slots }) => {
    for (const { proxy } of slots) proxy.banListeners(true)
    return () => {
      for (const { proxy } of slots) proxy.banListeners(false)
    }
  },
  'kill the server': async (world) => {
    const start = await world.killServer()
    await start()
    return nothing
  },
  outage: (world, slot, dice) => (dice.chance(0.5) ? world.killServer() : cutOff(world, slot, dice)),
  'cut off': cutOff,
  'freeze an executor': (_, { member }) => freeze(member.pid),
  'kill an executor': (world, slot) => {
    slot.member.signal('SIGKILL')
    return () => world.join(slot)
  },
  'close an executor': (world, slot) => {
    slot.member.tell('close')
    return () => world.join(slot)
  },
  'close and rejoin': (_, { member }) => {
    member.tell('rejoin')
    return nothing
  },
  'freeze a backend': async (world, { proxy }, dice) => {
    const pid = dice.pick(await world.backends(meow(world), proxy))
    return pid ? freeze(pid) : nothing
  },
  'foreign transaction': foreign('postgres'),
  'foreign transaction elsewhere': foreign('elsewhere'),
  'orphan prepared transaction': async (world, _, dice) => {
    const client = await world.stranger()
    const name = `orphan_${dice.int(0, 1e9)}`
    await client.query(`begin; create table ${name} (n int)`)
    await client.query(`prepare transaction '${name}'`)
    await client.end()
    return () => world.insist(`rollback prepared '${name}'`)
  },
  'idle in transaction': async (world) => {
    const client = await world.stranger()
    await client.query(`listen "${world.schema}"`)
    await client.query('begin isolation level repeatable read; select 1')
    return () => client.end()
  },
  'junk notifications': async (world, _, dice) => {
    const { schema } = world
    const client = await world.stranger('postgres', 'junk')
    const { rows } = await world.sql.query(
      `select ${schema}.channel(unnest($1::text[])) as channel union all select ${schema}.wake_channel('faults') union all select $2`,
      [['a', 'b', 'c'], schema],
    )
    const junk = [
      '',
      'x',
      '-1',
      '0',
      'NaN',
      '1e400',
      '{}',
      '9007199254740993',
      '99999999',
      'null',
      '1'.repeat(7_000),
    ]
    for (let n = 0; n < 50; n++)
      await client.query('select pg_notify($1, $2)', [dice.pick(rows).channel, dice.pick(junk)])
    await client.end()
    return nothing
  },
  trouble: ({ slots }, _, dice) => {
    const share = dice.pick([0.02, 0.1, 0.3])
    const tell = (command: string) => {
      for (const { member } of slots) member.tell(command)
    }
    tell(`trouble ${share}`)
    return () => tell('trouble 0')
  },
  'no connection left': async (world) => {
    const taken: pg.Client[] = []
    for (let full = false; !full; ) {
      await world.stranger().then(
        (client) => taken.push(client),
        (error) => {
          if (error.code !== '53300') throw error
          full = true
        },
      )
    }
    // Those that are there already have to come again.
    await world.terminate(await world.backends(meow(world)))
    return () => Promise.all(taken.map((client) => client.end()))
  },
}
