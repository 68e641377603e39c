import { once } from 'node:events'
import { connect } from 'node:net'

/**
 * Those of the servers that greet who connects, as every NATS server does. From one that takes a connection and says nothing
 * (frozen, or a balancer with nobody behind it) the client turns away in time, but leaves the socket open for ever.
 *
 * @throws what came of the first, where none does
 */
export async function greeting(servers: readonly string[], timeoutMs: number): Promise<string[]> {
  const answers = await Promise.allSettled(servers.map((server) => greets(new URL(server), timeoutMs)))
  const awake = servers.filter((_, i) => answers[i]!.status === 'fulfilled')
  if (awake.length === 0) throw (answers[0] as PromiseRejectedResult).reason
  return awake
}

async function greets({ hostname, port }: URL, timeoutMs: number): Promise<void> {
  const socket = connect(Number(port || 4222), hostname.replace(/^\[|\]$/g, '')).on('error', () => {}) // `once` tells
  try {
    await once(socket, 'data', { signal: AbortSignal.timeout(timeoutMs) })
  } catch (error) {
    const late = (error as Error).name === 'AbortError'
    throw late ? Object.assign(new Error('it says nothing'), { name: 'TimeoutError' }) : error
  } finally {
    socket.destroy()
  }
}
