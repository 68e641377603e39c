// The one loop of a store and process that fires timers.
import { settledOrAborted, sharedController } from '../core/abort.ts'
import { pauseAfter } from '../core/backoff.ts'
import { Condition } from '../core/condition.ts'
import { deferred } from '../core/deferred.ts'
import { SchemaError } from '../core/errors.ts'
import type { Database } from '../database/database.ts'
import { hasState } from '../database/failures.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import { statements } from '../database/statements.ts'
import { withoutContext } from '../events/event-context.ts'
import type { Listener } from '../notify/listener.ts'
import type { Instant } from '../subscriptions/instant.ts'
import { elapsed, now } from '../subscriptions/instant.ts'

/** When a timer is due, by the database's clock. */
export interface NextDue {
  /** From now, in ms; 0 or less: it is due. */
  readonly inMs: number
  /** In ms since 1970. */
  readonly at: number
}

/** Timers of one kind. */
export interface TimerSource {
  readonly name: string
  /** The timers of the store itself: if they are refused, `asked` rejects. */
  readonly isOfStore?: boolean
  /** When its next timer is due; undefined: it has none. */
  next(): Promise<NextDue | undefined>
  /** Fires some that are due. Returns how many; 0: others have locked them. */
  fire(): Promise<number>
}

/** After so long it asks again for a privilege, or for a table, that was missing. */
const DENIED_MS = 30_000
/** The longest sleep before both clocks are looked at: a laptop may have slept, too. */
const LOOK_MS = 60_000
/** Processes that wake for the same timer do not ask at the same moment. */
const JITTER_MS = 5
/** Pauses while others have locked all that is due. */
const BUSY = { firstMs: 5, maxMs: 200 }

/**
 * Fires the timers of a store as long as somebody holds it: each worker of the process does. However many hold it, there is one
 * loop.
 *
 *     ask when the next timer is due -> due: fire a batch of each source -> ask
 *                                    -> later: sleep until then -> ask
 *
 * A notification of an earlier timer ends the sleep. If notifications do not arrive, it asks at each poll interval. While it
 * listens and no timer is due it asks nothing. The database's clock decides what is due, so a sleep that is too short costs a
 * question and fires nothing.
 */
export class TimerRunner {
  readonly #db: Database
  readonly #listener: Listener
  readonly #sources = new Set<TimerSource>()
  readonly #denied = new Map<TimerSource, Instant>()
  readonly #wake = new Condition()
  readonly #closing = sharedController()
  #holders = 0
  #again = false // something may have changed since it last asked
  /** A timer that is due then, or later, need not wake it: in ms since 1970 by the database's clock. */
  #wakesAt = Infinity
  #run: { readonly ending: AbortController; readonly ended: Promise<void> } | undefined
  #firstTurn = deferred()

  constructor(db: Database, listener: Listener) {
    this.#db = db
    this.#listener = listener
  }

  /** Runs until the returned function is called, by this holder and all others. */
  hold(): () => void {
    this.#holders++
    this.#start()
    let holds = true
    return () => {
      if (!holds) return
      holds = false
      if (--this.#holders === 0) this.#run?.ending.abort()
    }
  }

  /** Also fires the timers of this source, until the returned function is called. A transaction that is under way then still ends. */
  add(source: TimerSource): () => void {
    this.#sources.add(source)
    this.look()
    return () => {
      this.#sources.delete(source)
      this.#denied.delete(source)
    }
  }

  /** Resolves when it has asked once for the timers of the store; rejects if these were refused. */
  get asked(): Promise<void> {
    return this.#firstTurn.promise
  }

  /** Ask again now, also where it was refused. */
  askAgain(): void {
    this.#denied.clear()
    this.look()
  }

  /** Ask again now. */
  look(): void {
    this.#again = true
    this.#wake.fire()
  }

  /** Resolves when the transaction that is under way has ended, and at the latest when the signal aborts. */
  async close(over: AbortSignal): Promise<void> {
    this.#closing.abort()
    this.#run?.ending.abort()
    if (this.#run) await settledOrAborted(this.#run.ended, over)
  }

  #start(): void {
    if (this.#closing.signal.aborted || (this.#run && !this.#run.ending.signal.aborted)) return
    const before = this.#run?.ended
    const ending = sharedController()
    const ended = withoutContext(async () => {
      await before
      await this.#loop(ending.signal)
    })
      .catch((err) => {
        if (!ending.signal.aborted)
          this.#db.settings.logger.error({ err }, 'the timers of this process have ended')
      })
      .finally(() => {
        if (this.#run?.ended === ended) this.#run = undefined
      })
    this.#run = { ending, ended }
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#db
    const policy = retryPolicy(this.#db, signal)
    let off = () => {}
    const endPolls = clock.every(settings.pollIntervalMs, () => this.#listener.listening || this.look())
    const wakeUp = () => this.#wake.fire()
    signal.addEventListener('abort', wakeUp)
    try {
      const isListening = this.#listen(signal).then((unlisten) => {
        off = unlisten
      })
      isListening.catch(() => {}) // its privileges are missing, which the first turn tells
      let busy = 0
      while (!signal.aborted) {
        this.#again = false
        this.#wakesAt = Infinity
        const { fired, nextMs, nextAt } = await retryForever(
          () => this.#turn(signal),
          policy,
          () => true,
        )
        this.#wakesAt = nextAt
        if (![...this.#denied.keys()].some(({ isOfStore }) => isOfStore)) this.#firstTurn.resolve()
        if (fired > 0) busy = 0
        else if (nextMs <= 0) await this.#sleep(pauseAfter(++busy, BUSY), signal)
        else {
          busy = 0
          await this.#sleep(nextMs, signal)
        }
      }
    } finally {
      signal.removeEventListener('abort', wakeUp)
      endPolls()
      off()
    }
  }

  /** Listens for timers that are due earlier than the next one that is known. */
  async #listen(signal: AbortSignal): Promise<() => void> {
    const ask = () => this.#db.query(statements.timerChannel, {})
    const [row] = await retryForever(ask, retryPolicy(this.#db, signal))
    if (signal.aborted) return () => {}
    return this.#listener.on(row![0], (payload) => {
      if (!(payload && Number(payload) >= this.#wakesAt)) this.look()
    })
  }

  /** Fires one batch of each source that has something due. */
  async #turn(signal: AbortSignal): Promise<Turn> {
    let fired = 0
    let nextMs = Infinity
    let nextAt = Infinity
    for (const source of this.#sources) {
      if (signal.aborted) break
      const denied = this.#denied.get(source)
      if (denied && elapsed(this.#db.clock, denied) < DENIED_MS) {
        nextMs = Math.min(nextMs, DENIED_MS)
        continue
      }
      try {
        const next = await source.next()
        if (next && next.inMs <= 0) fired += await source.fire()
        nextMs = Math.min(nextMs, next?.inMs ?? Infinity)
        nextAt = Math.min(nextAt, next?.at ?? Infinity)
        this.#denied.delete(source)
      } catch (err) {
        if (!isDenied(err)) throw err
        this.#refused(source, err)
        nextMs = Math.min(nextMs, DENIED_MS)
      }
    }
    return { fired, nextMs, nextAt }
  }

  /** Another process may fire the timers of this source; this one goes on with its work. */
  #refused(source: TimerSource, err: unknown): void {
    this.#denied.set(source, now(this.#db.clock))
    this.#db.settings.logger.debug(
      { err, timers: source.name },
      `this process can't fire timers (${source.name}); asking again in ${DENIED_MS / 1000} s`,
    )
    if (!source.isOfStore) return
    this.#firstTurn.reject(err)
    this.#firstTurn = deferred()
  }

  /** Sleeps until the time is over, or until there is a reason to ask again. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#db
    const since = now(clock)
    const total = ms + clock.random() * JITTER_MS
    while (!this.#again && !signal.aborted) {
      const left = total - elapsed(clock, since)
      if (left <= 0) return
      const cancel = clock.after(Math.min(left, LOOK_MS), () => this.#wake.fire())
      await this.#wake.next()
      cancel()
    }
  }
}

interface Turn {
  readonly fired: number
  /** When the next timer of all is due, or was due before this turn. */
  readonly nextMs: number
  readonly nextAt: number
}

/** Whether a privilege or a table is missing. Both can be made good while this process runs. */
const isDenied = (error: unknown) => hasState(error, SQLSTATE.noRights) || error instanceof SchemaError
