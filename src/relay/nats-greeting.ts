// Finds out which NATS servers answer.
import { once } from 'node:events'
import { connect } from 'node:net'
import { withTimeout } from '../core/timeout.ts'

/**
 * Returns the servers that send a greeting to a new connection, as every NATS server does. A server may accept connections and send nothing
 * (it is frozen, or there is only a load balancer). The NATS client gives up on such a server, but leaves its socket open.
 *
 * @throws the error of the first server if none sends a greeting
 */
export async function serversThatGreet(servers: readonly string[], timeoutMs: number): Promise<string[]> {
  const answers = await Promise.allSettled(servers.map((server) => awaitGreeting(new URL(server), timeoutMs)))
  const alive = servers.filter((_, i) => answers[i]!.status === 'fulfilled')
  if (alive.length === 0) throw (answers[0] as PromiseRejectedResult).reason
  return alive
}

async function awaitGreeting({ hostname, port }: URL, timeoutMs: number): Promise<void> {
  const socket = connect(Number(port || 4222), hostname.replace(/^\[|\]$/g, '')).on('error', () => {}) // `once` rejects with it
  try {
    await withTimeout(
      timeoutMs,
      () => once(socket, 'data'),
      () => {
        throw Object.assign(new Error('the server sends nothing'), { name: 'TimeoutError' })
      },
    )
  } finally {
    socket.destroy()
  }
}
