// `startStudio`: a web page that shows a store; published as `meowmx/studio`.
import { parseSecret } from '../core/validate.ts'
import type { Meow } from '../meow.ts'
import { LagAge } from './lag-age.ts'
import { OpenPages } from './open-pages.ts'
import type { StudioOptions } from './options.ts'
import { studioOptionsSchema } from './options.ts'
import { Rebuilds } from './projections.ts'
import { addressOf, serve } from './server.ts'
import { StudioQueries } from './studio-queries.ts'

export type { StudioOptions } from './options.ts'

/** A running studio; also an `AsyncDisposable`. */
export interface Studio {
  /** The address to open in a browser. It contains the token, with which anybody can read the whole store. */
  readonly url: string
  /** Ends all requests and stops asking the store, which stays open. You may call it twice. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts the studio, a web page that shows a store live: categories with their rates, a tail, the history of streams,
 * subscriptions with lags and parked events, projections, timers, process managers, blocking transactions; and `/metrics` for Prometheus.
 *
 * Only this machine can reach it unless you set `host`. Every request needs the token, other sites get no answer, and
 * without `write` nothing can be changed. While no page is open it asks the store nothing. It keeps the process alive. Close it
 * before the store.
 *
 * @param meow the store to show; with `listen: false` the page updates by polling
 * @param options default: on 127.0.0.1 at any free port, read only, with a new token
 * @throws ValidationError (rejects) if an option is invalid
 * @throws ConnectionError (rejects) if it cannot listen at that address
 * @example
 * const studio = await startStudio(meow, { port: 4717, token: process.env.STUDIO_TOKEN! }) // not set: a new one
 * // curl -H "Authorization: Bearer $STUDIO_TOKEN" http://127.0.0.1:4717/metrics
 * // ... (studio.url holds the token: not for a log)
 * await studio.close()
 */
export async function startStudio(meow: Meow, options: StudioOptions = {}): Promise<Studio> {
  const { host, port, write, token, title } = parseSecret(
    studioOptionsSchema,
    options,
    Object.keys(studioOptionsSchema.shape),
    ['host', 'title', 'token'], // the error of a token does not show it
  )
  const queries = new StudioQueries(meow)
  const rebuilds = new Rebuilds(meow)
  const openPages = new OpenPages(meow, queries, rebuilds)
  const store = { meow, queries, openPages, lagAge: new LagAge(meow), rebuilds, write, title }
  const server = await serve(store, host, port, token).catch((error) => {
    queries.close()
    throw error
  })
  let closing: Promise<void> | undefined
  const close = () => {
    rebuilds.close()
    closing ??= Promise.all([server.close(), openPages.close()]).then(() => queries.close())
    return closing
  }
  return { url: addressOf(host, server.port, token), close, [Symbol.asyncDispose]: close }
}
