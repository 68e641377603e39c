import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Studio } from '../../src/studio/index.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Of a body that is JSON. */
  readonly json: any
}

export interface Ask {
  method?: string
  headers?: OutgoingHttpHeaders
  body?: string
  /** In the header, which is how the page does it. Default: the right one; null: none. */
  token?: string | null
}

/** How to wait, with `until`, for what the studio shows. */
export const waitingFor = (what: string) => ({ what, timeoutMs: 30_000 })

/** Events of the types T0, T1, …, with the same data. */
export const several = (count: number, data: unknown = {}) =>
  Array.from({ length: count }, (_, n) => ({ type: `T${n}`, data }))

export const tokenOf = (studio: Studio) => new URL(studio.url).searchParams.get('token')!
export const originOf = (studio: Studio) => new URL(studio.url).origin

/** One request with any headers: with fetch, Host and Origin can't be set. */
export async function ask(studio: Studio, path: string, options: Ask = {}): Promise<Answer> {
  const response = await open(studio, path, options)
  const body = await text(response)
  const isJson = response.headers['content-type'] === 'application/json'
  return {
    status: response.statusCode!,
    headers: response.headers,
    body,
    json: isJson ? JSON.parse(body) : undefined,
  }
}

function open(
  studio: Studio,
  path: string,
  { token = tokenOf(studio), ...options }: Ask,
): Promise<import('node:http').IncomingMessage> {
  const { hostname, port } = new URL(studio.url)
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    request({
      hostname,
      port,
      path,
      method: options.method ?? 'GET',
      headers: { ...authorization, ...options.headers },
      agent: false,
      setHost: options.headers?.host === undefined,
    })
      .on('response', resolve)
      .on('error', reject)
      .end(options.body)
  })
}

/** The messages to a page, by kind: all of the tail, and the latest of each other kind. */
export interface Page {
  readonly status: number
  readonly latest: Record<string, any>
  readonly events: any[]
  missed(): number
  /** How many messages came. */
  count(): number
  readonly ended: Promise<void>
  leave(): void
}

/** Looks, as a page does. */
export async function look(studio: Studio, filter = ''): Promise<Page> {
  const response = await open(studio, `/api/live?filter=${encodeURIComponent(filter)}`, {})
  const latest: Record<string, any> = {}
  const events: any[] = []
  let [missed, count, rest] = [0, 0, '']
  response.setEncoding('utf8').on('data', (chunk) => {
    const messages = (rest + chunk).split('\n\n')
    rest = messages.pop()!
    for (const message of messages) {
      const [, kind, json] = /^event: (.*)\ndata: ([^\n]*)$/.exec(message) ?? []
      if (!kind) continue
      const value = JSON.parse(json!)
      count++
      latest[kind] = value
      if (kind !== 'tail') continue
      events.push(...value.events)
      missed += value.missed
    }
  })
  const ended = new Promise<void>((resolve) => response.once('close', resolve))
  response.on('error', () => {}) // the studio ends it
  return {
    status: response.statusCode!,
    latest,
    events,
    missed: () => missed,
    count: () => count,
    ended,
    leave: () => void response.destroy(),
  }
}
