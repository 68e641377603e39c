import type pg from 'pg'
import { sharedController } from '../core/abort.ts'
import { HistoryLostError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'

/** What a server reports about the store. */
export interface ServerState {
  /** Whether it is a standby: missing events may still arrive there. */
  readonly standby: boolean
  /** Identifies one run of one server. */
  readonly server: string
  /** The last position that was assigned. */
  readonly head: number
  /** The id of the event at the position that was asked for; null if there is none. */
  readonly id: string | null
  readonly newest: { readonly position: number; readonly id: string } | null
}

interface Anchor {
  readonly position: number
  readonly id: string
  /** The server that had the event; null if no server was asked yet. */
  readonly server: string | null
}

/**
 * Notices when the store has gone back: a server that did not have all of its events replaced it (asynchronous replication, a
 * restore), and assigns their positions to new events. A reader that continues from an old position would miss these.
 *
 * It remembers the highest event that this process has seen, by position and id. It looks for this event on each connection
 * before its first use, and whenever the horizons are fetched. History is lost if another event has its position, or if the
 * event is missing on a different server. (If it is missing on the same server, it was erased.)
 */
export class ServerTimeline {
  readonly #readState: (position: number | null, client: pg.ClientBase) => Promise<ServerState>
  readonly #logger: Logger
  readonly #checked = new WeakSet<pg.ClientBase>()
  #anchor: Anchor | undefined
  #server: string | null = null // the server that was asked last
  #current = sharedController()
  readonly #listeners = new Set<(error: HistoryLostError) => void>()
  readonly #emptiedListeners = new Set<() => void>()

  constructor(ask: (position: number | null, client: pg.ClientBase) => Promise<ServerState>, logger: Logger) {
    this.#readState = ask
    this.#logger = logger
  }

  /** Aborts with the error when the timeline changed: then all known positions are void. A new signal replaces it. */
  get current(): AbortSignal {
    return this.#current.signal
  }

  /** Calls back at once when the store has gone back, until the returned function is called. */
  onLoss(listener: (error: HistoryLostError) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Calls back if the newest event that was seen is missing on the same server. Positions stay valid. */
  onEmptied(listener: () => void): void {
    this.#emptiedListeners.add(listener)
  }

  /** The highest position that is known to be committed. */
  get position(): number {
    return this.#anchor?.position ?? 0
  }

  /** Remembers an event that was read on the timeline `current`. */
  saw({ position, id }: { position: number; id: string }, current: AbortSignal): void {
    if (current.aborted || position <= this.position) return
    this.#anchor = { position, id, server: this.#server }
  }

  /** Whether the connection was checked, or no event is known yet to check. */
  isChecked(client: pg.ClientBase): boolean {
    return this.#anchor === undefined || this.#checked.has(client)
  }

  /** Checks the timeline on this connection. */
  async check(client: pg.ClientBase): Promise<void> {
    const anchor = this.#anchor
    const current = this.current
    const said = await this.#readState(anchor?.position ?? null, client)
    if (said.standby || current.aborted) return
    if (anchor && contradicts(said, anchor)) {
      // Ask again: it may have been a standby when the statement began.
      const again = await this.#readState(anchor.position, client)
      if (current.aborted) return
      if (contradicts(again, anchor)) return this.#lose(anchor, again)
    }
    this.#checked.add(client)
    const { newest, server } = said
    this.#server = server
    if (anchor && said.id === null && this.#anchor === anchor)
      for (const listener of this.#emptiedListeners) listener()
    if (this.#anchor === anchor || this.position < (newest?.position ?? 0))
      this.#anchor = newest ? { ...newest, server } : undefined
  }

  #lose({ position, id }: Anchor, { head, newest, server }: ServerState): void {
    const error = new HistoryLostError(position, head, id)
    this.#logger.error({ err: error, position, id, lastPosition: head }, 'the store has gone back')
    this.#anchor = newest ? { ...newest, server } : undefined
    const lost = this.#current
    this.#current = sharedController()
    lost.abort(error)
    for (const listener of [...this.#listeners]) listener(error)
  }
}

function contradicts({ id, head, server }: ServerState, anchor: Anchor): boolean {
  if (id !== null) return id !== anchor.id
  return head < anchor.position || server !== anchor.server
}
