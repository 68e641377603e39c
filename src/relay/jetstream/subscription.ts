// A subscription that JetStream feeds.
import { BehaviorSubject, Observable } from 'rxjs'
import { backoff } from '../../core/backoff.ts'
import type { Clock } from '../../core/clock.ts'
import { readable } from '../../core/describe.ts'
import { ConnectionError } from '../../core/errors.ts'
import { methodSchema } from '../../core/fields.ts'
import { parse } from '../../core/validate.ts'
import type { RecordedEvent } from '../../events/event.ts'
import type { Called } from '../../events/event-context.ts'
import { CALL, enclosingCall } from '../../events/event-context.ts'
import { nackOptionsSchema } from '../../subscriptions/options.ts'
import type { Worker } from '../../subscriptions/worker.ts'
import { RefusedError } from '../broker.ts'
import { token } from '../names.ts'
import type { Connection, Link } from './connection.ts'
import { listConsumers, makeConsumers } from './consumers.ts'
import type { HeldDelivery, JetStreamDelivery } from './delivery.ts'
import type { Sink } from './intake.ts'
import { Intake } from './intake.ts'
import type { JetStreamProcessOptions, JetStreamSettings, SubscriptionSettings } from './options.ts'
import { jetStreamProcessSchema } from './options.ts'
import type { ParkedJetStream } from './parked.ts'
import { Parked } from './parked.ts'
import { REPLAY } from './replay.ts'
import type { JetStreamStatus } from './status.ts'
import { STOPPED } from './status.ts'
import type { JetStreamHandlerContext } from './worker.ts'
import { JetStreamWorker } from './worker.ts'

/** How long deliveries can still be acked after their observer has gone, in ms. */
const LATE_MS = 5_000
/** How often the lag is counted while the status is observed, in ms. */
const COUNT_MS = 1_000

/** @internal What a subscription needs of its `jetstream()`. */
export interface Owner {
  readonly settings: JetStreamSettings
  readonly connection: Connection
  readonly clock: Clock
  /** Something that `close()` ends; the returned function forgets it. */
  register(running: { stop(): Promise<void> }): () => void
}

/** A durable, named consumer of events that JetStream feeds. `jetstream(…).subscription` creates it. */
export class JetStreamSubscription<E = RecordedEvent> {
  readonly name: string
  /** The status of the subscription in this process: emits the current value first, then each change. */
  readonly status$: Observable<JetStreamStatus>
  readonly #owner: Owner
  readonly #settings: SubscriptionSettings
  readonly #status = new BehaviorSubject(STOPPED)
  readonly #intakes = new Set<Intake>()
  #starting = 0
  #lag = 0
  #error: { error: unknown } | undefined

  /** @internal Use `jetstream(…).subscription`. */
  constructor(owner: Owner, settings: SubscriptionSettings) {
    this.name = settings.name
    this.#owner = owner
    this.#settings = settings
    this.status$ = new Observable((subscriber) => {
      subscriber.add(this.#status.subscribe(subscriber))
      this.#count()
      subscriber.add(owner.clock.every(COUNT_MS, () => void this.#count()))
    })
  }

  /**
   * Deliveries to be acked, nacked or parked, as a cold Observable; the operator `handle` takes them. At most one of each partition
   * is out at a time. After unsubscribing, deliveries that the consumer has can still be acked for 5 s; then they come again.
   *
   * @throws (as an error of the Observable) SubscriptionMismatchError, RefusedError or SubscriptionNotFoundError
   */
  deliveries(): Observable<JetStreamDelivery<E>> {
    const { clock } = this.#owner
    return new Observable((subscriber) => {
      const stopping = new AbortController()
      let intake: Intake | undefined
      const sink: Sink = {
        deliver: (delivery) => {
          const seen = this.#toDelivery(delivery)
          if (seen) subscriber.next(seen)
        },
        failed: (error) => {
          this.#failed(error)
          subscriber.error(error)
        },
        changed: () => this.#changed(),
      }
      const forget = this.#owner.register({
        stop: async () => {
          subscriber.complete()
          await end()
        },
      })
      const end = async () => {
        forget()
        stopping.abort()
        await intake?.end()
        if (intake) this.#intakes.delete(intake)
        this.#changed()
      }
      this.#start(sink, stopping.signal).then(
        (started) => {
          intake = started
        },
        (error) => sink.failed(error),
      )
      return () => {
        stopping.abort()
        intake?.stop()
        if (intake && intake.held > 0) clock.after(LATE_MS, () => void end())
        else void end()
      }
    })
  }

  /**
   * Runs a handler on each event and acks it; the events of a stream run in order, whichever process has them. A failed handler is
   * tried again (`retry`), and its partition waits meanwhile. When no attempts are left, its stream is parked and the others go on
   * (`onExhausted`). An event may come again after a process or connection died: `event.id` tells.
   *
   * @throws ValidationError for an invalid option
   * @example
   * const worker = subscription.process(async (event, { redelivered }) => { await sendMail(event.data) }, { concurrency: 8 })
   * await worker.stop()
   */
  process(
    handler: (event: E, context: JetStreamHandlerContext) => unknown,
    options: JetStreamProcessOptions = {},
  ): Worker {
    parse(methodSchema, handler, 'handler')
    const checked = parse(jetStreamProcessSchema, options, 'options')
    const { clock, settings } = this.#owner
    const handling = {
      handler,
      ...checked,
      subscription: this.name,
      view: this.#settings.selection.view,
      clock,
      logger: settings.logger,
    }
    let started: Intake | undefined
    const start = async (sink: Sink, stopping: AbortSignal) => {
      started = await this.#start(sink, stopping)
      return started
    }
    const worker = new JetStreamWorker(handling, start, () => this.#changed())
    const forget = this.#owner.register(worker)
    const ended = (failure?: { error: unknown }) => {
      forget()
      if (started) this.#intakes.delete(started)
      if (failure) this.#failed(failure.error)
      this.#changed()
    }
    worker.done.then(
      () => ended(),
      (error) => ended({ error }),
    )
    return worker
  }

  /** The streams that are parked, in the order of their failures. */
  async parked(): Promise<ParkedJetStream[]> {
    return (await this.#parked()).list()
  }

  /**
   * Has parked streams handled again, each from its parked event on and in order; what came meanwhile follows. A worker does this,
   * in any process; other streams of the partition wait for it. A stream whose handler fails for the last time stays parked.
   *
   * @param stream only this stream; default: all
   * @returns how many streams are to be replayed
   * @example
   * await subscription.replayParked({ category: 'order', streamId: '42' })
   */
  async replayParked(stream?: { category: string; streamId: string }): Promise<number> {
    const { settings } = this.#owner
    const link = await this.#owner.connection.get()
    const parked = await this.#parked(link)
    const suffix = stream && `.${token(stream.category)}.${token(stream.streamId)}`
    const subjects = [...(await parked.subjects('*')).keys()].filter((s) => !suffix || s.endsWith(suffix))
    const requests = new Map<string, string>()
    for (const subject of subjects) {
      const [partition, category] = subject.split('.').slice(2)
      // Only a request for one stream says which: all others of its partition would have to wait as well.
      requests.set(stream ? subject : partition!, `${settings.prefix}.${category}.${partition}.${REPLAY}`)
    }
    for (const [key, subject] of requests) {
      const headers = link.headers()
      headers.set('Meowmx-Replay', this.name)
      await link.client.publish(subject, stream ? key : '', {
        headers,
        expect: { streamName: settings.stream },
      })
    }
    return subjects.length
  }

  async #parked(given?: Link): Promise<Parked> {
    const { settings, connection } = this.#owner
    const parked = new Parked(settings.parkedStream, this.name, given ?? (await connection.get()))
    await parked.open(settings.stream)
    return parked
  }

  /** Connects, however long that takes, makes the consumers, and begins. Undefined: it was stopped meanwhile. */
  async #start(sink: Sink, stopping: AbortSignal): Promise<Intake | undefined> {
    const { settings, connection, clock } = this.#owner
    this.#error = undefined
    this.#starting++
    this.#changed()
    try {
      for (let attempt = 1; !stopping.aborted; attempt++) {
        try {
          const link = await connection.get()
          await makeConsumers(link.manager, settings, this.#settings)
          const parked = await this.#parked(link)
          if (stopping.aborted) return undefined
          const how = { settings, subscription: this.#settings, clock }
          const intake = new Intake(link, parked, sink, how)
          this.#intakes.add(intake)
          return intake
        } catch (error) {
          if (!isPassing(error)) throw error
          if (attempt % 30 === 1)
            settings.logger.warn(
              { err: error, subscription: this.name },
              'a subscription of JetStream can not begin; it tries again',
            )
        }
        await clock.sleep(backoff(attempt, clock), stopping).catch(() => {})
      }
      return undefined
    } finally {
      this.#starting--
      this.#changed()
      if (this.#status.observed) void this.#count()
    }
  }

  #failed(error: unknown): void {
    this.#error ??= { error }
    this.#changed()
  }

  #changed(): void {
    const intakes = [...this.#intakes]
    const inFlight = intakes.reduce((sum, { held }) => sum + held, 0)
    const lag = Math.max(this.#lag, inFlight)
    const running = lag > inFlight ? 'catching-up' : 'live'
    const state = intakes.length > 0 ? running : this.#starting > 0 ? 'waiting' : 'stopped'
    const error = state === 'stopped' ? this.#error : undefined
    const before = this.#status.value
    const same = before.state === state && before.lag === lag && before.inFlight === inFlight
    if (!same || before.error !== error?.error) this.#status.next({ state, lag, inFlight, ...error })
  }

  async #count(): Promise<void> {
    if (this.#intakes.size === 0) return
    try {
      const { manager } = await this.#owner.connection.get()
      const consumers = await listConsumers(manager, this.#owner.settings.stream, this.name)
      this.#lag = 0
      for (const { num_pending, num_ack_pending } of consumers.values())
        this.#lag += num_pending + num_ack_pending
      this.#changed()
    } catch {
      // the next count says
    }
  }

  #toDelivery(held: HeldDelivery): (JetStreamDelivery<E> & Called) | undefined {
    const { view } = this.#settings.selection
    const { logger } = this.#owner.settings
    const { attempt, partition, redelivered, event } = held
    const { position } = event
    let seen: RecordedEvent
    try {
      seen = view ? view(event) : event
    } catch (error) {
      logger.error({ err: error, position }, 'an event can not be read; its stream is parked')
      held.park(error).catch(() => {})
      return undefined
    }
    let acked: Promise<void> | undefined
    return {
      event: seen as E,
      attempt,
      partition,
      redelivered,
      get stale() {
        return held.stale
      },
      ack: () => {
        acked ??= held.ack(true).catch((error) => {
          throw new ConnectionError(`JetStream has not confirmed the ack of position ${position}`, error)
        })
        acked.catch(() => {})
        return acked
      },
      nack: (options = {}) => held.nack(parse(nackOptionsSchema, options, 'options')),
      park: (error) => {
        const parked = held.park(readable(error))
        parked.catch(() => {})
        return parked
      },
      [CALL]: () => ({
        store: this,
        subscription: this.name,
        position,
        active: true,
        outer: enclosingCall(),
      }),
    }
  }
}

/** Whether trying again may help: the server is away, or a cluster has no leader at the moment. */
function isPassing(error: unknown): boolean {
  if (error instanceof RefusedError) return false
  if (error instanceof ConnectionError) return true
  const { name, status, code } = error as { name?: string; status?: number; code?: number }
  if (name === 'JetStreamApiError') return (status ?? code ?? 0) === 503 || code === 10008
  return [
    'TimeoutError',
    'NoRespondersError',
    'RequestError',
    'ClosedConnectionError',
    'ConnectionError',
    'JetStreamNotEnabled',
    'DrainingConnectionError',
  ].includes(name ?? '')
}
