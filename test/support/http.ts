import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { toNodeListener } from '../../src/http/index.ts'

/** A handler on a server of its own, at any free port or, after a restart, at the port that it had. */
export interface Serving {
  readonly url: string
  readonly port: number
  readonly server: Server
  /** Breaks all connections. */
  close(): Promise<void>
}

export async function serve(
  handler: (request: Request) => Response | Promise<Response>,
  port = 0,
): Promise<Serving> {
  return listen(toNodeListener(handler), port)
}

export async function listen(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  port = 0,
): Promise<Serving> {
  const server = createServer(listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const at = (server.address() as AddressInfo).port
  return {
    url: `http://127.0.0.1:${at}`,
    port: at,
    server,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

/** What an event stream has sent so far. */
export interface Sent {
  readonly response: Response
  /** All of it. */
  text(): string
  /** Of the messages `data`. */
  readonly events: any[]
  /** Of the messages `control`. */
  readonly controls: any[]
  /** Of the messages `state`. */
  readonly states: any[]
  readonly ended: Promise<unknown>
  /** Leaves. */
  abort(): void
}

/** Reads an event stream until it ends or is left. */
export async function listenTo(url: string, headers: Record<string, string> = {}): Promise<Sent> {
  const stop = new AbortController()
  const response = await fetch(url, { headers, signal: stop.signal })
  const sent = { events: [] as any[], controls: [] as any[], states: [] as any[] }
  let text = ''
  const read = async () => {
    let rest = ''
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      const piece = Buffer.from(chunk).toString()
      text += piece
      const messages = (rest + piece).split('\n\n')
      rest = messages.pop()!
      for (const message of messages) {
        const [, kind, json] = /^event: (.*)\ndata: ?([^\n]*)$/.exec(message) ?? []
        if (kind === 'data') sent.events.push(...JSON.parse(json!))
        if (kind === 'control') sent.controls.push(JSON.parse(json!))
        if (kind === 'state') sent.states.push(JSON.parse(json!))
      }
    }
  }
  const ended = read().catch((error) => error)
  return { response, text: () => text, ...sent, ended, abort: () => stop.abort() }
}
