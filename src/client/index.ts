// Reads a store over HTTP, in browsers and anything else with fetch: published as `meowmx/client`. It imports RxJS, nothing else.

export type { RecordedEvent } from '../events/event.ts'
export type { RemoteFrom, RemoteSelector } from './address.ts'
export type { RemoteHeaders } from './connection.ts'
export type { Remote, RemoteEventsOptions, RemoteOptions } from './remote.ts'
export { remote } from './remote.ts'
export { RemoteError } from './remote-error.ts'
export type { RemoteStatus } from './status.ts'
