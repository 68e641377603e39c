// Events over HTTP: published as `meowmx/http`.

export type { FeedSelector } from './address.ts'
export { eventFeed } from './event-feed.ts'
export type { FetchHandler } from './handler.ts'
export { toNodeListener } from './node.ts'
export type { CorsOptions, EventFeedOptions, FeedOptions } from './options.ts'
export type { StateTarget } from './state-feed.ts'
export { stateFeed } from './state-feed.ts'
