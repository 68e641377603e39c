import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { z } from 'zod'
import { abortWith, sharedController } from '../../core/abort.ts'
import { pauseAfter } from '../../core/backoff.ts'
import { Condition } from '../../core/condition.ts'
import { ClosedError, TimeoutError } from '../../core/errors.ts'
import { ms, nameSchema, positionSchema, signalSchema } from '../../core/fields.ts'
import { withTimeout } from '../../core/timeout.ts'
import { parse } from '../../core/validate.ts'
import type { Queries } from '../../database/database.ts'
import { isTransientAtStart } from '../../database/failures.ts'
import { retryForever, retryPolicy } from '../../database/retry-policy.ts'
import { runTogether } from '../../database/run-query.ts'
import { statements } from '../../database/statements.ts'
import { enclosingCall } from '../../events/event-context.ts'
import type { Listener } from '../../notify/listener.ts'
import { SubscriptionNotFoundError } from '../errors.ts'

/** Options of `waitFor`. */
export interface WaitOptions {
  /** How long to wait at most. In ms; default 5000, minimum 1. */
  timeoutMs?: number | undefined
  /** Ends the wait, with its reason, when it aborts. */
  signal?: AbortSignal | undefined
}

/** Options of `settled`. */
export interface SettledOptions extends WaitOptions {
  /** Only these subscriptions. Default: all of the store. */
  names?: readonly string[] | undefined
}

/** @internal */
export const waitOptionsSchema = z.strictObject({
  timeoutMs: ms(1).default(5_000),
  signal: signalSchema.optional(),
})
const settledOptionsSchema = waitOptionsSchema.extend({ names: z.array(nameSchema).readonly().optional() })

/** A waiter that does not register again is forgotten after three poll intervals and this time, in ms. */
const KEPT_MS = 5_000

/**
 * Waits until the checkpoint of a subscription has reached a position.
 *
 *     read the checkpoint -> reached: done
 *                         -> not yet: register as a waiter and read again (from now on each checkpoint wakes it)
 *                            -> a wake-up, a reconnected listener, a poll: register and read again
 *                            -> a checkpoint is being written, perhaps by a session that did not see the waiter: read again
 *                               soon, then less often
 */
export class Waiting {
  readonly #db: Queries
  readonly #listener: Listener
  readonly #registrations: Registrations
  readonly #closing = sharedController()

  constructor(db: Queries, listener: Listener, registrations: Registrations) {
    this.#db = db
    this.#listener = listener
    this.#registrations = registrations
  }

  async waitFor(name: string, position: number, options: WaitOptions = {}): Promise<void> {
    const subscription = parse(nameSchema, name, 'name')
    const at = parse(positionSchema, position, 'position')
    return this.#waitFor(subscription, at, statements.reached, parse(waitOptionsSchema, options, 'options'))
  }

  /** Waits until subscriptions have handled or parked all events that are committed now. */
  async settled(options: SettledOptions = {}): Promise<void> {
    const { names, timeoutMs, signal } = parse(settledOptionsSchema, options, 'options')
    const { clock } = this.#db
    const end = clock.now() + timeoutMs
    const giveUp = abortWith(this.#closing.signal, signal)
    const wait = { clock, signal: giveUp.signal }
    const late = () => {
      throw new TimeoutError('finding out which subscriptions there are', timeoutMs)
    }
    try {
      giveUp.signal.throwIfAborted()
      const wanted = await withTimeout(timeoutMs, () => this.#targets(names, giveUp.signal), late, wait)
      const each = wanted.map(([name, position]) => {
        const options = { timeoutMs: Math.max(end - clock.now(), 1), signal: giveUp.signal }
        return this.#waitFor(name, Number(position), statements.settled, options)
      })
      await Promise.all(each)
    } finally {
      giveUp.abort() // if one fails, the others need not wait any longer
    }
  }

  /** These subscriptions, or all, each with the position of the last event that it selects. */
  async #targets(names: readonly string[] | undefined, signal: AbortSignal) {
    const read = (wanted: string[] | null) =>
      retryForever(
        () => this.#db.query(statements.settling, { names: wanted }),
        retryPolicy(this.#db, signal),
        isTransientAtStart,
      )
    if (!names) {
      await this.#registrations.registered(signal) // what this process has started counts, too
      return read(null)
    }
    const one = async (name: string) => {
      const [row] = await read([name])
      if (!row) throw new SubscriptionNotFoundError(name)
      return row
    }
    return Promise.all(
      [...new Set(names)].map((name) => this.#registrations.known(name, () => one(name), signal)),
    )
  }

  async #waitFor(
    subscription: string,
    at: number,
    question: Waiter['question'],
    { timeoutMs, signal }: z.output<typeof waitOptionsSchema>,
  ): Promise<void> {
    const waiter: Waiter = {
      subscription,
      position: at,
      question,
      id: randomUUID(),
      woken: new Condition(),
      registering: Promise.resolve(),
      leave: () => {},
    }
    const own = enclosingCall(
      (call) => call.store === this.#db && call.subscription === subscription && at >= call.position,
    )
    const giveUp = abortWith(this.#closing.signal, signal)
    const late = () => {
      const what = `waiting for subscription "${subscription}" to reach position ${at}${own?.active ? `, inside its own handler, which must first finish position ${own.position} (do not call waitFor there),` : ''}`
      throw new TimeoutError(what, timeoutMs, this.#db.retries?.current(waiter)?.error)
    }
    const { clock } = this.#db
    const { signal: end } = giveUp
    try {
      end.throwIfAborted()
      await withTimeout(timeoutMs, () => this.#wait(waiter, end), late, { clock, signal: end })
    } finally {
      giveUp.abort()
      waiter.leave()
      waiter.woken.fire() // so that #wait ends
    }
  }

  close(): void {
    this.#closing.abort(new ClosedError())
  }

  async #wait(waiter: Waiter, signal: AbortSignal): Promise<void> {
    const { settings, clock } = this.#db
    const read = () => this.#registrations.known(waiter.subscription, () => this.#read(waiter), signal)
    const first = await retryForever(read, retryPolicy(this.#db, signal, waiter), isTransientAtStart)
    if (first.reached) return
    signal.throwIfAborted()
    this.#listen(waiter, first.channel)
    for (let attempt = 0; ; ) {
      const woken = waiter.woken.next()
      const check = () => this.#registerAndRead(waiter)
      const { reached, changing } = await retryForever(check, retryPolicy(this.#db, signal, waiter))
      if (reached) return
      const { pollIntervalMs } = settings
      const pauseMs = changing
        ? pauseAfter(attempt + 1, { firstMs: 1, maxMs: pollIntervalMs })
        : pollIntervalMs
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
      // A payload is the position of a checkpoint. A lower one is ignored; anything else means: read again.
      if (!payload || !(Number(payload) < waiter.position)) waiter.woken.fire()
    })
    waiter.leave = () => {
      stopListening()
      // Unregister after a registration that is under way, or the row would be written again. If this fails, the row
      // expires.
      const { subscription, position, id } = waiter
      const unregister = () => this.#db.query(statements.leavePosition, { subscription, position, id })
      waiter.registering.then(unregister, unregister).catch(() => {})
    }
  }

  /** Two statements in one round trip. The second must see everything that was committed before the registration. */
  #registerAndRead(waiter: Waiter): Promise<Progress> {
    const { subscription, position, id } = waiter
    const whileMs = 3 * this.#db.settings.pollIntervalMs + KEPT_MS
    const reading = this.#db.withClient(async (client) => {
      const values = { subscription, position, id, whileMs }
      const register = () => this.#db.query(statements.awaitPosition, values, client)
      const [, progress] = await runTogether(client, [register, () => this.#read(waiter, client)])
      return progress
    })
    waiter.registering = reading
    return reading
  }

  async #read({ subscription, position, question }: Waiter, client?: pg.ClientBase): Promise<Progress> {
    const [row] = await this.#db.query(question, { subscription, position }, client)
    if (!row) throw new SubscriptionNotFoundError(subscription)
    const [reached, changing, channel] = row
    return { reached: reached === 't', changing: changing === 't', channel }
  }
}

/** The subscriptions that this process is creating. */
interface Registrations {
  /** Runs an action on a subscription. If this process is just creating it, the action waits for that. */
  known<T>(subscription: string, action: () => Promise<T>, signal: AbortSignal): Promise<T>
  /** Resolves when every subscription that was started here exists, or could not be created. */
  registered(signal: AbortSignal): Promise<void>
}

interface Waiter {
  readonly subscription: string
  readonly position: number
  /** What it asks: whether that event is handled, or all up to there. */
  readonly question: typeof statements.reached | typeof statements.settled
  readonly id: string
  readonly woken: Condition
  /** Its last registration. */
  registering: Promise<unknown>
  leave(): void
}

interface Progress {
  readonly reached: boolean
  /** Whether a checkpoint is being written now. */
  readonly changing: boolean
  readonly channel: string
}
