import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

/** A way to the server that can break. */
export interface Proxy {
  /** The server's address, through here. */
  readonly url: string
  /** Where its connections to the server begin: `client_port` in pg_stat_activity. */
  readonly ports: readonly number[]
  /**
   * Silently passes nothing any more: in both directions (then new connections are accepted, and hang), or only to the server,
   * or only from it.
   */
  blackhole(way?: 'both' | 'there' | 'back'): void
  /** The end of a blackhole that TCP survives: what was held back passes now. */
  thaw(): void
  /** All connections are reset; new ones pass. */
  reset(): void
  /** All connections are reset, and new ones refused. */
  cut(): Promise<void>
  /** What passes takes so much longer, each way. */
  slow(ms: number): void
  /** As before, for new connections. */
  heal(): Promise<void>
  close(): Promise<void>
}

/** Sees what passes one connection; what comes back from the server it may change, or swallow. */
export interface Tap {
  there(chunk: Buffer): void
  back(chunk: Buffer): Buffer | undefined
}

/** A TCP proxy to the server at `target`, a connection string; keeps no process alive. */
export async function startProxy(target: string, tap?: (reset: () => void) => Tap): Promise<Proxy> {
  const to = new URL(target)
  const sockets = new Set<Socket>()
  const ways = new Map<Socket, 'there' | 'back'>() // what comes out of it goes …
  const hanging = new Set<Socket>() // taken, and not led on
  let silent: 'both' | 'there' | 'back' | undefined
  let delayMs = 0

  const keep = (socket: Socket) => {
    sockets.add(socket.unref())
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      ways.delete(socket)
      hanging.delete(socket)
    })
  }
  const held = (way: 'there' | 'back') => silent === 'both' || silent === way
  const lead = (
    from: Socket,
    onto: Socket,
    way: 'there' | 'back',
    see: (chunk: Buffer) => Buffer | undefined,
  ) => {
    let due = 0 // nothing overtakes what was delayed before it
    ways.set(from, way)
    const write = (chunk: Buffer) => {
      if (!onto.writable || onto.write(chunk)) return
      from.pause()
      onto.once('drain', () => held(way) || from.resume())
    }
    from.on('data', (chunk: Buffer) => {
      const passing = see(chunk)
      if (!passing) return
      const now = performance.now()
      due = Math.max(due, delayMs > 0 ? now + delayMs : 0)
      if (due > now) setTimeout(write, due - now, passing).unref()
      else write(passing)
    })
    if (held(way)) from.pause()
    from.on('close', () => onto.destroySoon()) // once all that passed is sent
  }
  const join = (inward: Socket) => {
    const outward = connect(Number(to.port || 5432), to.hostname)
    keep(outward)
    const seen = tap?.(() => {
      resetOne(inward)
      resetOne(outward)
    })
    lead(inward, outward, 'there', (chunk) => {
      seen?.there(chunk)
      return chunk
    })
    lead(outward, inward, 'back', (chunk) => (seen ? seen.back(chunk) : chunk))
  }

  const open = async (port: number) => {
    const server = createServer((inward) => {
      keep(inward)
      if (silent === 'both') hanging.add(inward)
      else join(inward)
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    return server.unref()
  }
  let server: Awaited<ReturnType<typeof open>> | undefined = await open(0)
  let healing: ReturnType<typeof open> | undefined
  const own = (server.address() as AddressInfo).port
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String(own)
  const reset = () => {
    for (const socket of sockets) resetOne(socket)
  }
  const cut = async () => {
    const closing = server && once(server, 'close')
    server?.close()
    server = undefined
    reset()
    await closing
  }
  return {
    url: url.href,
    get ports() {
      return [...ways].flatMap(([{ localPort }, way]) => (way === 'back' && localPort ? [localPort] : []))
    },
    blackhole: (way = 'both') => {
      silent = way
      for (const [socket, way] of ways) if (held(way)) socket.pause()
    },
    thaw: () => {
      silent = undefined
      for (const socket of ways.keys()) socket.resume()
      for (const socket of hanging) join(socket)
      hanging.clear()
    },
    reset,
    cut,
    slow: (ms) => {
      delayMs = ms
    },
    heal: async () => {
      silent = undefined
      healing ??= server ? undefined : open(own) // two that heal at once open it once
      server ??= await healing
      healing = undefined
    },
    close: cut,
  }
}

/** One that is about to end can't be reset any more: in Node 20 the process then spins when it should exit. */
function resetOne(socket: Socket): void {
  if (socket.writableEnded || socket.writableLength > 0) socket.destroy()
  else socket.resetAndDestroy()
}
