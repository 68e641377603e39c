import { Socket } from 'node:net'
import { after } from '../core/clock.ts'

/** Creates the sockets of some connections, so that they can be destroyed: a dead peer never answers a goodbye. */
export class Sockets {
  readonly #open = new Set<Socket>()

  /** The value of pg's option `stream`. */
  readonly make = (): Socket => {
    const socket = new Socket()
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    return socket
  }

  destroy(): void {
    for (const socket of this.#open) socket.destroy()
  }

  /** Resolves when all sockets are closed. After `timeoutMs` they are destroyed. */
  async closed(timeoutMs: number): Promise<void> {
    const open = [...this.#open]
    const forget = after(timeoutMs, () => open.forEach((socket) => void socket.destroy()))
    await Promise.all(open.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    forget()
  }
}
