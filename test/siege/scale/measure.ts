import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Meow } from '../../../src/index.ts'
import type { Size } from './fill.ts'

/** How long to wait for a push; what takes longer counts as this. */
const PATIENCE_MS = 60_000

/** A filled store, and ways to it. */
export interface Filled {
  readonly meow: Meow
  readonly sql: pg.Pool
  readonly schema: string
  readonly size: Size
}

/** How long it takes, in ms: the least of several times, the first of which does not count; once, if that takes long. */
export async function least(action: () => Promise<unknown>): Promise<number> {
  let best = await once(action)
  if (best > 2_000) return best
  best = Infinity
  for (let n = 0; n < 7; n++) best = Math.min(best, await once(action))
  return best
}

export async function once(action: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await action()
  return performance.now() - begin
}

/** From the append of an event to an observer of its category that is up to date: the least of several, in ms. */
export async function push({ meow }: Filled): Promise<number> {
  const category = 'unrelated'
  let seen = () => {}
  const events = meow.events({ category }, { from: 'end' }).subscribe(() => seen())
  await delay(200) // it listens by then; else the first time takes longer
  try {
    return await least(async () => {
      const arrives = new Promise<void>((resolve) => {
        seen = resolve
      })
      await meow.append({ category, streamId: 'one' }, { type: 'Happened', data: {} })
      await Promise.race([arrives, delay(PATIENCE_MS, undefined, { ref: false })])
    })
  } finally {
    events.unsubscribe()
  }
}
