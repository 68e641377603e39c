import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { z } from 'zod'
import { aborted, abortWith, manyWaitFor } from '../../core/abort.ts'
import { Condition } from '../../core/condition.ts'
import { ClosedError, TimeoutError } from '../../core/errors.ts'
import { ms, name, position, signal } from '../../core/fields.ts'
import { parse } from '../../core/validate.ts'
import type { Queries, Statement } from '../../database/database.ts'
import { isTransientAtStart } from '../../database/failures.ts'
import { retryForever, retryPolicy } from '../../database/retry-policy.ts'
import { openCall } from '../../events/event-context.ts'
import type { Listener } from '../../notify/listener.ts'
import { SubscriptionNotFoundError } from '../errors.ts'

/** How long `waitFor` waits. */
export interface WaitOptions {
  /** How long to wait at most. In ms; default 5000, minimum 1. */
  timeoutMs?: number | undefined
  /** Ends the wait, with its reason, when it aborts. */
  signal?: AbortSignal | undefined
}

const waitOptions = z.strictObject({ timeoutMs: ms(1).default(5_000), signal: signal.optional() })

/** How long the database keeps a waiter that is not heard of: three polls, and this. */
const KEPT_MS = 5_000

/**
 * Waits until a subscription has come to a position.
 *
 *     look -> reached
 *          -> not yet: say in the store that we wait, look again (now no checkpoint passes us by without a ring)
 *             -> a ring, a fresh listener, a poll: look again
 *             -> a checkpoint is just being written, maybe by one who did not see us: look again soon, then less often
 */
export class Waiting {
  readonly #db: Queries
  readonly #listener: Listener
  readonly #known: Known
  readonly #reached: Statement
  readonly #register: Statement
  readonly #unregister: Statement
  readonly #closing = manyWaitFor()

  constructor(db: Queries, listener: Listener, known: Known) {
    this.#db = db
    this.#listener = listener
    this.#known = known
    this.#reached = db.file('reached')
    this.#register = db.file('await_position')
    this.#unregister = db.file('leave_position')
  }

  async waitFor(subscription: string, at: number, options: WaitOptions = {}): Promise<void> {
    const waiter: Waiter = {
      subscription: parse(name, subscription, 'name'),
      position: parse(position, at, 'position'),
      id: randomUUID(),
      woken: new Condition(),
      registering: Promise.resolve(),
      leave: () => {},
    }
    const { timeoutMs, signal } = parse(waitOptions, options, 'options')
    const own = openCall(
      (call) => call.store === this.#db && call.subscription === subscription && at >= call.position,
    )
    const giveUp = abortWith(this.#closing.signal, signal)
    const forget = this.#db.clock.after(timeoutMs, () => {
      const what = `waiting for subscription "${subscription}" to come to position ${at}${own?.active ? `, by its own handler, which is still at work on position ${own.position} and has to end first (do not wait for it there),` : ''}`
      giveUp.abort(new TimeoutError(what, timeoutMs, this.#db.retries?.current(waiter)?.error))
    })
    try {
      giveUp.signal.throwIfAborted()
      await aborted(this.#wait(waiter, giveUp.signal), giveUp.signal)
    } finally {
      forget()
      giveUp.abort()
      waiter.leave()
      waiter.woken.fire() // so that what waits for it ends
    }
  }

  close(): void {
    this.#closing.abort(new ClosedError())
  }

  async #wait(waiter: Waiter, signal: AbortSignal): Promise<void> {
    const { settings, clock } = this.#db
    const read = () => this.#known(waiter.subscription, () => this.#read(waiter), signal)
    const first = await retryForever(read, retryPolicy(this.#db, signal, waiter), isTransientAtStart)
    if (first.reached) return
    signal.throwIfAborted()
    this.#listen(waiter, first.channel)
    for (let attempt = 0; ; ) {
      const woken = waiter.woken.next()
      const check = () => this.#registerAndRead(waiter)
      const { reached, changing } = await retryForever(check, retryPolicy(this.#db, signal, waiter))
      if (reached) return
      const pauseMs = changing ? Math.min(2 ** attempt, settings.pollIntervalMs) : settings.pollIntervalMs
      let wasWoken = true
      const cancel = clock.after(pauseMs, () => {
        wasWoken = false
        waiter.woken.fire()
      })
      await woken
      cancel()
      attempt = wasWoken || !changing ? 0 : attempt + 1
    }
  }

  #listen(waiter: Waiter, channel: string): void {
    const stopListening = this.#listener.on(channel, (payload) => {
      // A checkpoint, and none is higher; else: look.
      if (!payload || !(Number(payload) < waiter.position)) waiter.woken.fire()
    })
    waiter.leave = () => {
      stopListening()
      // Behind an entering that is under way, which would come after it. Nobody need wait for that: where it fails, the row
      // runs out.
      const leave = () => this.#db.query(this.#unregister, [waiter.subscription, waiter.position, waiter.id])
      waiter.registering.then(leave, leave).catch(() => {})
    }
  }

  /** Two statements, one sent right behind the other: the look has to see what is committed once we are entered. */
  #registerAndRead(waiter: Waiter): Promise<Progress> {
    const { subscription, position, id } = waiter
    const keptMs = 3 * this.#db.settings.pollIntervalMs + KEPT_MS
    const looking = this.#db.withClient(async (client) => {
      const entered = this.#db.query(this.#register, [subscription, position, id, keptMs], client)
      const look = this.#read(waiter, client)
      await Promise.allSettled([entered, look])
      await entered
      return look
    })
    waiter.registering = looking
    return looking
  }

  async #read({ subscription, position }: Waiter, client?: pg.ClientBase): Promise<Progress> {
    const [row] = await this.#db.query(this.#reached, [subscription, position], client)
    if (!row) throw new SubscriptionNotFoundError(subscription)
    const [reached, changing, channel] = row
    return { reached: reached === 't', changing: changing === 't', channel: channel! }
  }
}

/** Does something about a subscription, once it is made where it is just being made. */
type Known = (subscription: string, action: () => Promise<Progress>, signal: AbortSignal) => Promise<Progress>

interface Waiter {
  readonly subscription: string
  readonly position: number
  readonly id: string
  readonly woken: Condition
  /** The last time that it said that it waits. */
  registering: Promise<unknown>
  leave(): void
}

interface Progress {
  readonly reached: boolean
  /** A checkpoint is just being written. */
  readonly changing: boolean
  readonly channel: string
}
