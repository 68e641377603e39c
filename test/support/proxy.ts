import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

/** A way to the server that can break. */
export interface Proxy {
  /** The server's address, through here. */
  readonly url: string
  /** Nothing passes any more, in either direction, and nobody is told; new connections are taken, and hang. */
  blackhole(): void
  /** All connections are reset, and new ones refused. */
  cut(): Promise<void>
  /** As before, for new connections. */
  heal(): Promise<void>
  close(): Promise<void>
}

/** A TCP proxy to the server at `target`, a connection string; keeps no process alive. */
export async function startProxy(target: string): Promise<Proxy> {
  const to = new URL(target)
  const sockets = new Set<Socket>()
  let silent = false
  const open = async (port: number) => {
    const server = createServer((inward) => {
      const outward = silent ? undefined : connect(Number(to.port || 5432), to.hostname)
      for (const socket of [inward, outward]) {
        if (!socket) continue
        sockets.add(socket.unref())
        socket.on('error', () => {})
        socket.on('close', () => sockets.delete(socket))
      }
      if (!outward) return
      inward.pipe(outward)
      outward.pipe(inward)
      inward.on('close', () => outward.destroy())
      outward.on('close', () => inward.destroy())
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    return server.unref()
  }
  let server: Awaited<ReturnType<typeof open>> | undefined = await open(0)
  const own = (server.address() as AddressInfo).port
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String(own)
  const cut = async () => {
    const closing = server && once(server, 'close')
    server?.close()
    server = undefined
    for (const socket of sockets) socket.resetAndDestroy()
    await closing
  }
  return {
    url: url.href,
    blackhole: () => {
      silent = true
      for (const socket of sockets) {
        socket.unpipe()
        socket.pause()
      }
    },
    cut,
    heal: async () => {
      silent = false
      server ??= await open(own)
    },
    close: cut,
  }
}
