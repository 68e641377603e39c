import { setTimeout as delay } from 'node:timers/promises'
import { random } from '../support/random.ts'
import type { Fault } from './faults.ts'
import type { Step } from './schedule.ts'
import type { World } from './world.ts'

/** One fault, from its beginning to its end. */
export async function happens(world: World, step: Step, fault: Fault, healed?: () => void): Promise<void> {
  await delay(step.atMs)
  let heal: () => unknown
  try {
    heal = await fault(world, world.slots[step.slot]!, random(step.seed))
  } catch (error) {
    // If the server was lost during the fault there is nothing to break; any other error is an error of the test.
    if (error instanceof TypeError || (error as { severity?: string }).severity === 'ERROR') throw error
    return
  }
  await delay(step.forMs)
  await heal()
  healed?.()
}
