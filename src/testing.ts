// What users test their own code with: published as `meowmx/testing`.
export type { MemoryStoreOptions } from './testing/memory-store.ts'
export { memoryStore } from './testing/memory-store.ts'
