import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

/** How long the use of the processors is measured, in ms. */
const LOOK_MS = 1_000

const total = () => {
  const times = cpus().map((cpu) => cpu.times)
  const idle = times.reduce((sum, one) => sum + one.idle, 0)
  return { idle, all: times.reduce((sum, one) => sum + Object.values(one).reduce((a, b) => a + b, 0), 0) }
}

/** The share of the processors' time that nobody used in the last second: 0 to 1. */
export async function idleShare(): Promise<number> {
  const before = total()
  await delay(LOOK_MS)
  const after = total()
  return (after.idle - before.idle) / Math.max(after.all - before.all, 1)
}
