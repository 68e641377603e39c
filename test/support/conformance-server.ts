// The write methods that the conformance suite of Durable Streams needs: PUT, POST and DELETE, which go to `append`. Everything
// that is read comes from a feed. The feed serves JSON. For streams of text, the bodies are joined here; the rest of an answer
// stays.
import { eventFeed } from '../../src/http/index.ts'
import type { Meow } from '../../src/index.ts'
import type { Serving } from './http.ts'
import { serve } from './http.ts'
import { uniqueName } from './store.ts'

interface Stream {
  readonly streamId: string
  readonly type: string
}

const isJson = ({ type }: Stream) => /^application\/json\b/i.test(type)
const baseType = (type: string) => type.split(';')[0]!.trim().toLowerCase()

export async function conformanceServer(meow: Meow): Promise<Serving> {
  const category = uniqueName('conformance')
  const streams = new Map<string, Stream>()
  const feed = eventFeed(meow, {
    authorize: () => true,
    map: ({ data }) => data.value,
    longPollMs: 1_000,
    cors: { origin: '*' },
  })

  const append = async (stream: Stream, body: string): Promise<string> => {
    const parsed: unknown = isJson(stream) ? JSON.parse(body) : body
    const values = Array.isArray(parsed) ? parsed : [parsed]
    const events = values.map((value) => ({ type: 'Written', data: { value } }))
    const { position } = await meow.append({ category, streamId: stream.streamId }, events)
    return String(position).padStart(16, '0')
  }
  const answer = (status: number, headers: Record<string, string> = {}, body: string | null = null) =>
    new Response(body, {
      status,
      headers: {
        'X-Content-Type-Options': 'nosniff',
        'Cross-Origin-Resource-Policy': 'cross-origin',
        ...headers,
      },
    })

  const write = async (request: Request, path: string): Promise<Response> => {
    const known = streams.get(path)
    const type = request.headers.get('Content-Type')
    const body = await request.text()
    if (request.method === 'PUT') {
      if (known) {
        const same = baseType(known.type) === baseType(type ?? 'application/octet-stream')
        return answer(same ? 200 : 409, { 'Content-Type': known.type })
      }
      const stream = { streamId: uniqueName('s'), type: type ?? 'application/octet-stream' }
      streams.set(path, stream)
      const offset = body && body !== '[]' ? await append(stream, body) : '0'.padStart(16, '0')
      return answer(201, { 'Content-Type': stream.type, 'Stream-Next-Offset': offset, Location: request.url })
    }
    if (!known) return answer(404)
    if (request.method === 'DELETE') {
      streams.delete(path)
      return answer(204)
    }
    if (!type || body === '' || body === '[]') return answer(400)
    if (baseType(type) !== baseType(known.type)) return answer(409)
    try {
      return answer(204, { 'Stream-Next-Offset': await append(known, body) })
    } catch (error) {
      if (error instanceof SyntaxError) return answer(400)
      throw error
    }
  }

  return serve(async (request) => {
    const url = new URL(request.url)
    const path = url.pathname
    if (['PUT', 'POST', 'DELETE'].includes(request.method)) return write(request, path)
    const stream = streams.get(path)
    if (!stream && request.method !== 'OPTIONS') return answer(404)
    url.pathname = `/events/stream/${category}/${stream?.streamId}`
    const response = await feed(new Request(url, request))
    return !stream || isJson(stream) ? response : asText(response, stream)
  })
}

async function asText(response: Response, { type }: Stream): Promise<Response> {
  const { status, headers } = response
  if (headers.get('Content-Type') === 'text/event-stream') {
    let rest = ''
    const decoder = new TextDecoder()
    const joined = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        const messages = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
        rest = messages.pop()!
        for (const message of messages)
          controller.enqueue(new TextEncoder().encode(`${dataAsText(message)}\n\n`))
      },
    })
    return new Response(response.body!.pipeThrough(joined), { status, headers })
  }
  if (headers.get('Content-Type') !== 'application/json') return response
  const text = await response.text()
  headers.set('Content-Type', type)
  return new Response(text ? (JSON.parse(text) as string[]).join('') : null, { status, headers })
}

function dataAsText(message: string): string {
  const [, json] = /^event: data\ndata:(.*)$/.exec(message) ?? []
  if (!json) return message
  const lines = (JSON.parse(json) as string[]).join('').split(/\r\n|\r|\n/)
  return `event: data\n${lines.map((line) => `data:${line}`).join('\n')}`
}
