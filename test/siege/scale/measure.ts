import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Meow } from '../../../src/index.ts'
import type { Size } from './fill.ts'

/** How long to wait for a push; a longer time counts as this. */
const ARRIVAL_MS = 60_000

/** A filled store, and ways to it. */
export interface Filled {
  readonly meow: Meow
  readonly sql: pg.Pool
  readonly schema: string
  readonly size: Size
}

/** How long a call takes, in ms: the shortest of several times without the first; a single time if the call is slow. */
export async function least(action: () => Promise<unknown>): Promise<number> {
  return (await times(action))[0]!
}

/** Several times, the shortest first. */
async function times(action: () => Promise<unknown>): Promise<number[]> {
  const first = await once(action)
  if (first > 2_000) return [first]
  const all: number[] = []
  for (let n = 0; n < 7; n++) all.push(await once(action))
  return all.sort((a, b) => a - b)
}

export async function once(action: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await action()
  return performance.now() - begin
}

/** From the append of an event to an observer of its category that is up to date: the median of several, in ms. */
export async function push({ meow }: Filled): Promise<number> {
  const category = 'unrelated'
  let seen = () => {}
  const events = meow.events({ category }, { from: 'end' }).subscribe(() => seen())
  await delay(200) // it listens by then; otherwise the first measurement would take longer
  try {
    const all = await times(async () => {
      const arrives = new Promise<void>((resolve) => {
        seen = resolve
      })
      await meow.append({ category, streamId: 'one' }, { type: 'Happened', data: {} })
      await Promise.race([arrives, delay(ARRIVAL_MS, undefined, { ref: false })])
    })
    return all[all.length >> 1]!
  } finally {
    events.unsubscribe()
  }
}
