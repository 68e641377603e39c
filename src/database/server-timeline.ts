import type pg from 'pg'
import { sharedController } from '../core/abort.ts'
import { HistoryLostError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'

/** What a server says of the store. */
export interface ServerState {
  /** It is a standby: what it has not got yet may come. */
  readonly standby: boolean
  /** Which run of which server it is. */
  readonly server: string
  /** The last position that was handed out. */
  readonly head: number
  /** Of the event at the position that was asked for; null: there is none. */
  readonly id: string | null
  readonly newest: { readonly position: number; readonly id: string } | null
}

interface Anchor {
  readonly position: number
  readonly id: string
  /** Where it was there; null: nobody was asked yet. */
  readonly server: string | null
}

/**
 * Notices when the store has gone back: its server was replaced by one that had not got all of its events (asynchronous
 * replication, a restore), which hands their positions out again. Whoever goes on from a position would pass over what
 * takes it now.
 *
 * The highest event that this process has seen, by position and id, is looked for on each connection before its first
 * use, and with each look at the horizons. Where another has its place, or nobody, on another server than it was seen on,
 * history is lost. (On the same one it was erased.)
 */
export class ServerTimeline {
  readonly #readState: (position: number | null, client: pg.ClientBase) => Promise<ServerState>
  readonly #logger: Logger
  readonly #checked = new WeakSet<pg.ClientBase>()
  #anchor: Anchor | undefined
  #server: string | null = null // that was last asked
  #current = sharedController()
  readonly #listeners = new Set<(error: HistoryLostError) => void>()
  readonly #emptiedListeners = new Set<() => void>()

  constructor(ask: (position: number | null, client: pg.ClientBase) => Promise<ServerState>, logger: Logger) {
    this.#readState = ask
    this.#logger = logger
  }

  /** Aborts, with the error, when all that is known of positions is void; then there is another. */
  get current(): AbortSignal {
    return this.#current.signal
  }

  /** Call back at once when the store has gone back, until the returned function is called. */
  onLoss(listener: (error: HistoryLostError) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Call back when the newest event that was seen is no longer there, on the same server: positions stay what they are. */
  onEmptied(listener: () => void): void {
    this.#emptiedListeners.add(listener)
  }

  /** The highest position that is known to be committed. */
  get position(): number {
    return this.#anchor?.position ?? 0
  }

  /** An event was read, in the era of then. */
  saw({ position, id }: { position: number; id: string }, era: AbortSignal): void {
    if (era.aborted || position <= this.position) return
    this.#anchor = { position, id, server: this.#server }
  }

  /** Whether nothing is known yet that this connection could contradict, or it did not. */
  isChecked(client: pg.ClientBase): boolean {
    return this.#anchor === undefined || this.#checked.has(client)
  }

  /** Ask on this connection. */
  async check(client: pg.ClientBase): Promise<void> {
    const anchor = this.#anchor
    const era = this.current
    const said = await this.#readState(anchor?.position ?? null, client)
    if (said.standby || era.aborted) return
    if (anchor && contradicts(said, anchor)) {
      // Once more: it may have been a standby when the statement began.
      const again = await this.#readState(anchor.position, client)
      if (era.aborted) return
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
