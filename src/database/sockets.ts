import { Socket } from 'node:net'
import { after } from '../core/clock.ts'

/** The sockets of some connections, made here to be able to destroy them: a dead peer never answers a goodbye. */
export class Sockets {
  readonly #open = new Set<Socket>()

  /** pg's option `stream`. */
  readonly make = (): Socket => {
    const socket = new Socket()
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    return socket
  }

  destroy(): void {
    for (const socket of this.#open) socket.destroy()
  }

  /** Resolves once all are closed, by themselves or, after `patienceMs`, by force. */
  async closed(patienceMs: number): Promise<void> {
    const open = [...this.#open]
    const forget = after(patienceMs, () => open.forEach((socket) => void socket.destroy()))
    await Promise.all(open.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    forget()
  }
}
