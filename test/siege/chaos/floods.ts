import type { Fault } from '../../faults/faults.ts'
import { faults } from '../../faults/faults.ts'
import type { World } from '../../faults/world.ts'
import { freeze } from '../../support/freeze.ts'

const nothing = () => {}

/** Changes a setting of the server for all sessions, until it is changed back. */
const setting =
  (name: string, value: string): Fault =>
  async (world) => {
    await world.sql.query(`alter system set ${name} = '${value}'`)
    await world.sql.query('select pg_reload_conf()')
    return async () => {
      await world.insist(`alter system reset ${name}`)
      await world.insist('select pg_reload_conf()')
    }
  }

/** Locks a table of the store, so that every writer waits. */
const locked =
  (table: string): Fault =>
  async (world) => {
    const client = await world.stranger()
    await client.query(`begin; lock table ${world.schema}.${table} in exclusive mode`)
    return () => client.end()
  }

const toAll = ({ slots }: World, command: string) => {
  for (const { member } of slots) member.tell(command)
}

/** What happens in chaos beside the faults of faults.ts. */
const floods: Readonly<Record<string, { readonly fault: Fault; readonly lasting: [number, number] }>> = {
  'restart the server': {
    fault: async (world) => {
      const start = await world.killServer('stop')
      await start()
      return nothing
    },
    lasting: [0, 0],
  },
  'freeze past the lease': { fault: (_, { member }) => freeze(member.pid), lasting: [3_000, 8_000] },
  'a burst of appends': {
    fault: (world, _, dice) => {
      toAll(world, `burst ${dice.int(50, 300)}`)
      return nothing
    },
    lasting: [0, 0],
  },
  'big events': {
    fault: (world, _, dice) => {
      toAll(world, `big ${dice.int(1, 3)}`)
      return nothing
    },
    lasting: [0, 0],
  },
  'advisory locks of a stranger': {
    fault: async (world, _, dice) => {
      const client = await world.stranger()
      await client.query('select pg_advisory_lock(7, i) from generate_series(1, $1) i', [
        dice.int(500, 5_000),
      ])
      return () => client.end()
    },
    lasting: [500, 4_000],
  },
  'a long transaction of a stranger': {
    fault: (world, slot, dice) => faults['foreign transaction']!(world, slot, dice),
    lasting: [10_000, 30_000],
  },
  statement_timeout: { fault: setting('statement_timeout', '20ms'), lasting: [300, 2_000] },
  lock_timeout: { fault: setting('lock_timeout', '10ms'), lasting: [300, 2_000] },
  'locked events': { fault: locked('events'), lasting: [200, 3_000] },
  'locked checkpoints': { fault: locked('checkpoints'), lasting: [200, 3_000] },
}

export const chaosFaults: Readonly<Record<string, Fault>> = {
  ...faults,
  ...Object.fromEntries(Object.entries(floods).map(([name, { fault }]) => [name, fault])),
}

/** How long they last: no longer than `mostMs`. */
export function floodsLast(mostMs: number): Record<string, [number, number]> {
  const capped = Object.entries(floods).map(
    ([
      name,
      {
        lasting: [least, most],
      },
    ]) => [name, [Math.min(least, mostMs), Math.min(most, mostMs)]],
  )
  return Object.fromEntries(capped)
}
