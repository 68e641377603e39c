// `remote`: a store on the other side of HTTP.
import { Observable } from 'rxjs'
import type { RecordedEvent } from '../events/event.ts'
import type { RemoteFrom, RemoteSelector } from './address.ts'
import { beginning, invalid, pathOf, segment } from './address.ts'
import type { RemoteHeaders, Transport } from './connection.ts'
import { fetched, listen, untilDone } from './connection.ts'
import { Pulled } from './pulled.ts'
import type { Reading } from './read-events.ts'
import { readEvents } from './read-events.ts'
import { inTurns } from './seats.ts'
import type { RemoteStatus } from './status.ts'
import { Statuses } from './status.ts'

/** Options of `remote`. */
export interface RemoteOptions {
  /** Default: the global `fetch`. */
  fetch?: typeof fetch | undefined
  /**
   * Headers of each request, such as `{ Authorization: 'Bearer …' }`; or a function that makes them, which is asked again, once,
   * if they are refused with status 401 or 403.
   */
  headers?: RemoteHeaders | undefined
}

/** Options of `events` and `iterate`. */
export interface RemoteEventsOptions {
  /** Where to begin. Default `'start'`. */
  from?: RemoteFrom | undefined
  /** Whether to wait for new events. Default true; false: complete at the end as it is at the start. */
  live?: boolean | undefined
}

/** A store on the other side of HTTP, as `eventFeed` and `stateFeed` of `meowmx/http` serve it. */
export interface Remote {
  /**
   * The selected events as a cold Observable, with the contract of `meow.events`: position order, each event exactly once, none
   * that could still roll back; it continues after a lost connection, a restart of the server, or a sleep of this machine.
   *
   * `E` is what the feed sends of an event; default: the event as it is stored.
   *
   * @throws RemoteError (as an error of the Observable) if the feed refuses the request, also with fresh headers
   */
  events<E = RecordedEvent>(selector: RemoteSelector, options?: RemoteEventsOptions): Observable<E>
  /** The same events as an async iterable. It reads no further while its consumer is busy. */
  iterate<E = RecordedEvent>(selector: RemoteSelector, options?: RemoteEventsOptions): AsyncIterable<E>
  /** The state of a stream, and every newer one, from `stateFeed`. States may be left out if they follow each other quickly. */
  watch<S = unknown>(name: string, streamId: string): Observable<{ state: S; version: number }>
  /** The state of this remote's connections: the current value first, then each change. It never completes. */
  readonly status$: Observable<RemoteStatus>
}

/**
 * Reads a store over HTTP, in a browser or in anything else that has `fetch`.
 *
 * @param url the address of the feed, e.g. `https://shop.example/events`; in a browser also `/events`
 * @throws RemoteError `ERR_REMOTE_INPUT` if an argument is invalid
 * @example
 * const shop = remote('/events', { headers: () => ({ Authorization: `Bearer ${token()}` }) })
 * shop.events({ category: 'order' }).subscribe((event) => show(event))
 */
export function remote(url: string | URL, options: RemoteOptions = {}): Remote {
  const base = baseOf(url)
  for (const key of Object.keys(options))
    if (key !== 'fetch' && key !== 'headers') throw invalid(`options.${key} is not an option`)
  const { fetch = globalThis.fetch, headers = {} } = options
  if (typeof fetch !== 'function') throw invalid('options.fetch must be a function: there is no global fetch')
  const transport: Transport = { fetch: (...given) => fetch(...given), headers }
  const statuses = new Statuses()

  /** Runs until it ends, fails or is stopped; an error after it was stopped is ignored. */
  const run = (
    work: (signal: AbortSignal, status: ReturnType<Statuses['add']>) => Promise<void>,
    ended: (error?: unknown) => void,
  ) => {
    const stop = new AbortController()
    const status = statuses.add()
    work(stop.signal, status)
      .finally(() => status.end())
      .then(
        () => ended(),
        (error) => stop.signal.aborted || ended(error),
      )
    return () => {
      status.end()
      stop.abort()
    }
  }

  const reading = (
    selector: RemoteSelector,
    { from = 'start', live = true }: RemoteEventsOptions = {},
  ): Reading => {
    const { path, query } = pathOf(selector)
    beginning(from) // checks it now, not at the first request
    return { url: `${base}/${path}`, query, from, live }
  }

  return {
    status$: statuses.status$,
    events: <E>(selector: RemoteSelector, options?: RemoteEventsOptions) => {
      const what = reading(selector, options)
      return new Observable<E>((subscriber) =>
        run(
          (signal, status) =>
            readEvents(what, transport, status, signal, (events) => {
              for (const event of events) if (!subscriber.closed) subscriber.next(event as E)
            }),
          (error) => (error === undefined ? subscriber.complete() : subscriber.error(error)),
        ),
      )
    },
    iterate: <E>(selector: RemoteSelector, options?: RemoteEventsOptions) => {
      const what = reading(selector, options)
      return {
        [Symbol.asyncIterator]: () => {
          let stop = () => {}
          const pulled = new Pulled<E>(() => stop())
          stop = run(
            (signal, status) =>
              readEvents(what, transport, status, signal, (events) => pulled.push(events as E[])),
            (error) => pulled.end(error),
          )
          return pulled
        },
      }
    },
    watch: <S>(name: string, streamId: string) => {
      const address = `${base}/state/${segment('name', name)}/${segment('streamId', streamId)}`
      return new Observable<{ state: S; version: number }>((subscriber) => {
        let known = ''
        const take = (data: string) => {
          if (data === known) return // the same as before the connection was lost
          known = data
          subscriber.next(JSON.parse(data))
        }
        return run(
          (signal, status) =>
            inTurns(address, signal, {
              stream: (own, news) =>
                untilDone(
                  async (progress) => {
                    const opened = () => status.set('live')
                    await listen(transport, `${address}?live=sse`, own, opened, ({ kind, data }) => {
                      if (kind !== 'state') return
                      progress()
                      if (data !== known) news()
                      take(data)
                    })
                    return false
                  },
                  status,
                  own,
                ),
              poll: () =>
                untilDone(
                  async () => {
                    const { text } = await fetched(transport, 'GET', address, signal)
                    status.set('live')
                    if (!signal.aborted) take(text)
                    return true
                  },
                  status,
                  signal,
                ),
            }),
          (error) => subscriber.error(error),
        )
      })
    },
  }
}

/** The address without query and slash at its end. It may be a path, which a browser completes. */
function baseOf(url: string | URL): string {
  const text = String(url)
  if (!/^(https?:\/\/[^/]+|\/)/.test(text) || /[?#]/.test(text))
    throw invalid('url must be an address of http without a query, or a path')
  return text.replace(/\/+$/, '')
}
