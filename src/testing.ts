// What users test their own code with: published as `meowmx/testing`.

export type { ExpectedError } from './testing/expect.ts'
export type { Given, Then, When } from './testing/given.ts'
export { given } from './testing/given.ts'
export type { MemoryStoreOptions } from './testing/memory-store.ts'
export { memoryStore } from './testing/memory-store.ts'
export { markAsTestStore, resetStore } from './testing/reset-store.ts'
export type { StoredEvent } from './testing/scene.ts'
export { stored } from './testing/scene.ts'
