import type { Setup } from './simulate.ts'

/** A schedule that broke a promise once. */
export interface Regression {
  readonly name: string
  readonly setup: Setup
  readonly choices: readonly number[]
}

const setup: Setup = {
  partitions: 1,
  machines: 1,
  concurrency: 1,
  batchSize: null,
  maxWaitMs: 0,
  maxInFlight: 1,
  maxBufferedBytes: 67_108_864,
  slowHandlers: true,
  failures: 3,
  service: false,
  poison: false,
  late: 'handled',
  everything: true,
  push: 'reliable',
  events: 10,
  faults: 2,
  ambush: null,
  begin: 'working',
}

export const regressions: readonly Regression[] = [
  {
    // The retry of a lost park undid the discard.
    name: 'the answer to a park is lost, and the event is discarded before the park is tried again',
    setup,
    choices: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 49_182, 16_894],
  },
  {
    // A queued delivery below an acked event was begun, so that the acked one need not come again.
    name: 'a subscription is paused while a retry is queued below an event that is being handled',
    setup: { ...setup, maxInFlight: 2, push: 'lossy' },
    choices: [
      0, 62_622, 12_537, 7_742, 14_745, 0, 0, 33_113, 0, 0, 0, 0, 0, 0, 33_557, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      27_691, 9_001, 0, 0, 29_408, 0, 0, 28_533, 6_453,
    ],
  },
  {
    // Its event was delivered again a moment before the other partition, which waited, was woken: each time.
    name: 'in an outage, batches of a partition whose event always fails let another partition try, too',
    setup: {
      ...setup,
      partitions: 2,
      batchSize: 2,
      maxInFlight: 3,
      failures: 1,
      poison: true,
      late: 'nothing',
      everything: false,
      events: 3,
      faults: 0,
      begin: 'cold',
    },
    choices: [
      62_747, 35_483, 9_675, 1_483, 40_437, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      0, 0, 0, 0, 0, 4_757, 0,
    ],
  },
]
