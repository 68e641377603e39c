// The testing kit for users' own tests: published as `meowmx/testing`.

export type { ExpectedError } from './expect.ts'
export type { Given, Then, When } from './given.ts'
export { given } from './given.ts'
export type { GivenModel, ModelHistory, WhenModel } from './given-model.ts'
export type {
  GivenProjection,
  GivenProjectionOptions,
  ProjectionHistory,
  StreamHistory,
} from './given-projection.ts'
export type { MemoryStore, MemoryStoreOptions } from './memory-store.ts'
export { memoryStore } from './memory-store.ts'
export type { GivenProcess, ProcessEvent } from './process.ts'
export { markAsTestStore, resetStore } from './reset-store.ts'
export type { StoredEvent } from './scenario.ts'
export { stored } from './scenario.ts'
