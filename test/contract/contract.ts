import type { Test } from 'uvu'
import type { EventStore } from '../../src/index.ts'

/** Promises that a store keeps, of whatever kind it is: adds their tests. `store()`: the one under test; `open`: one more. */
export type Contract = (test: Test, store: () => EventStore, open: () => Promise<EventStore>) => void
