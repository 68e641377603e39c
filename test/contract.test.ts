// A store in PostgreSQL and a store in memory keep the same promises: the same tests run for both.
import { suite } from 'uvu'
import type { EventStore } from '../src/index.ts'
import { memoryStore } from '../src/testing/index.ts'
import { appending } from './contract/appending.ts'
import { consuming } from './contract/consuming.ts'
import { deciding } from './contract/deciding.ts'
import { finding } from './contract/finding.ts'
import { observing } from './contract/observing.ts'
import { reading } from './contract/reading.ts'
import { repeating } from './contract/repeating.ts'
import { running } from './contract/running.ts'
import { tagging } from './contract/tagging.ts'
import { timing } from './contract/timing.ts'
import { typing } from './contract/typing.ts'
import { values } from './contract/values.ts'
import { closeAll, openStore } from './support/store.ts'

const kinds: [name: string, open: () => Promise<EventStore>][] = [
  ['PostgreSQL', () => openStore({ pollIntervalMs: 100 })],
  ['memory', async () => memoryStore()],
]
for (const [name, open] of kinds) {
  const test = suite(name)
  let store: EventStore
  test.before(async () => {
    store = await open()
  })
  test.after(async () => {
    await store.close()
    await closeAll()
  })
  // `reading` comes first: it compares all events, and assert.equal does not work for data with a key "constructor".
  for (const contract of [
    reading,
    finding,
    appending,
    observing,
    deciding,
    repeating,
    tagging,
    typing,
    values,
    consuming,
    timing,
    running,
  ])
    contract(test, () => store, open)
  test.run()
}
