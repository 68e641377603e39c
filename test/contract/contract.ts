import type { Test } from 'uvu'
import type { EventStore } from '../../src/index.ts'
import type { MemoryStore } from '../../src/testing/index.ts'

/** Adds the tests of the promises that every kind of store keeps. `store()`: the one under test; `open`: one more. */
export type Contract = (test: Test, store: () => EventStore, open: () => Promise<EventStore>) => void

/** Lets so much time go by, in ms: in memory by its clock. PostgreSQL has the real one, so wait for what comes then, too. */
export const pass = async (store: EventStore, ms: number): Promise<void> => {
  if ('advance' in store) await (store as MemoryStore).advance(ms)
}
