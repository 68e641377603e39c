import { parseSecret } from '../core/validate.ts'
import type { Meow } from '../meow.ts'
import { Audience } from './audience.ts'
import type { StudioOptions } from './options.ts'
import { studioOptions } from './options.ts'
import { Questions } from './questions.ts'
import { addressOf, serve } from './server.ts'

export type { StudioOptions } from './options.ts'

/** A web page that shows a store, live; also an `AsyncDisposable`. */
export interface Studio {
  /** What to open in a browser, the token included: whoever has it can read the whole store. */
  readonly url: string
  /** Ends all requests and stops asking; the store stays open. Twice is fine. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Serves the studio: categories with their rates, a live tail, the history of a stream, subscriptions with their lag and
 * what they have parked, stallers; and `/metrics` for Prometheus.
 *
 * Only this machine can reach it unless `host` says otherwise, only who has the token is answered, no page of another site
 * ever is, and without `write` nothing can be changed. While nobody looks it asks nothing of the store. It keeps the process
 * alive; close it before the store.
 *
 * @param meow the store that is shown; with `listen: false` all that is live comes by the poll
 * @param options default: on 127.0.0.1 at any free port, read only, a new token
 * @throws (rejects) ValidationError for an option that can't be right; ConnectionError where it can't listen there
 * @example
 * const studio = await startStudio(meow, { port: 4717, token: process.env.STUDIO_TOKEN! }) // not set: a new one
 * // curl -H "Authorization: Bearer $STUDIO_TOKEN" http://127.0.0.1:4717/metrics
 * // ... (studio.url holds the token: not for a log)
 * await studio.close()
 */
export async function startStudio(meow: Meow, options: StudioOptions = {}): Promise<Studio> {
  const { host, port, write, token, title } = parseSecret(
    studioOptions,
    options,
    Object.keys(studioOptions.shape),
    ['host', 'title', 'token'], // what is wrong with a token it says without it
  )
  const questions = new Questions(meow)
  const audience = new Audience(meow, questions)
  const server = await serve({ meow, questions, audience, write, title }, host, port, token).catch(
    (error) => {
      questions.close()
      throw error
    },
  )
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= Promise.all([server.close(), audience.close()]).then(() => questions.close())
    return closing
  }
  return { url: addressOf(host, server.port, token), close, [Symbol.asyncDispose]: close }
}
