import type { Meow } from '../../src/index.ts'
import { until } from '../support/until.ts'
import type { Member } from './member.ts'
import type { World } from './world.ts'

/** I8: after close nothing is left of the executors, and there was no unexpected error. */
export async function closeAll(world: World<Member>, stores: readonly Meow[]): Promise<string[]> {
  const violations: string[] = []
  for (const { tell } of world.members) tell('close')
  for (const member of world.members) {
    await until(() => member.exit !== undefined, { timeoutMs: 30_000, what: '' }).catch(() => {})
    const { pid, exit, killed, ends, stderr } = member
    if (exit === undefined) violations.push(`I8 executor ${pid} did not end within 30 s of close()`)
    else if (exit !== 0 && !killed) violations.push(`I8 executor ${pid} ended with ${exit}`)
    if (stderr !== '') violations.push(`I8 executor ${pid} wrote: ${stderr}`)
    for (const end of ends) if (end !== null) violations.push(`I8 a worker of ${pid} ended: ${end}`)
  }
  await Promise.all(stores.map((store) => store.close()))
  const left = async () =>
    (
      await world.sql.query(
        `select application_name, state, query from pg_stat_activity where application_name like 'meowmx%'`,
      )
    ).rows
  await until(async () => (await left()).length === 0, { what: '' }).catch(async () => {
    violations.push(`I8 backends that are left: ${JSON.stringify(await left())}`)
  })
  return violations
}
