// Durable subscriptions of a store in memory. They last as long as the store.
import { whenAborted } from '../../core/abort.ts'
import { systemClock } from '../../core/clock.ts'
import { ClosedError, HistoryLostError, TimeoutError, ValidationError } from '../../core/errors.ts'
import { methodSchema, nameSchema, positionSchema } from '../../core/fields.ts'
import { withTimeout } from '../../core/timeout.ts'
import { parse, refuseUndefined } from '../../core/validate.ts'
import { streamKey } from '../../events/event.ts'
import type { HandlerCall } from '../../events/event-context.ts'
import type { Selection } from '../../events/selector.ts'
import { refuseWide, select, selectorOf } from '../../events/selector.ts'
import { NOT_HELD_BACK } from '../../read/held-back.ts'
import type { ParkedEvent, ParkedOptions, ReplayOptions } from '../../subscriptions/admin/parked.ts'
import { parkedOptionsSchema, replayOptionsSchema } from '../../subscriptions/admin/parked.ts'
import type { SubscriptionInfo, SubscriptionsOptions } from '../../subscriptions/admin/subscriptions.ts'
import { selector, subscriptionsOptionsSchema } from '../../subscriptions/admin/subscriptions.ts'
import type { WaitOptions } from '../../subscriptions/admin/wait.ts'
import { waitOptionsSchema } from '../../subscriptions/admin/wait.ts'
import { SubscriptionMismatchError, SubscriptionNotFoundError } from '../../subscriptions/errors.ts'
import { callScope, runIn } from '../../subscriptions/handler-scope.ts'
import type { Options, SubscriptionOptions } from '../../subscriptions/options.ts'
import {
  batchOptionsSchema,
  processOptionsSchema,
  subscriptionOptionsSchema,
} from '../../subscriptions/options.ts'
import type { Worker } from '../../subscriptions/worker.ts'
import type { MemoryLog } from '../log.ts'
import { Consumer } from './consumer.ts'
import type { MemoryTime } from './time.ts'
import type { MemoryHandling } from './worker.ts'
import { MemoryWorker } from './worker.ts'

/** What a worker of a subscription is started with; the events are as the subscription selects them. */
type Handle = (events: any[], context: any) => unknown

/** The subscriptions of a store. */
export class MemorySubscriptions {
  readonly #log: MemoryLog
  readonly #time: MemoryTime
  readonly #consumers = new Map<string, Consumer>()
  readonly #workers = new Set<Worker>()
  #closed = false

  constructor(log: MemoryLog, time: MemoryTime) {
    this.#log = log
    this.#time = time
  }

  /** Whether any worker runs. */
  get running(): boolean {
    return this.#workers.size > 0
  }

  /** As `meow.subscription`. */
  get(subscription: string, options: SubscriptionOptions) {
    refuseWide(options, 'options')
    const checked = parse(subscriptionOptionsSchema, options, 'options')
    const name = parse(nameSchema, subscription, 'name')
    const { category } = options // it may contain schemas
    const selection = select(selectorOf({ ...checked, category }), 'options')
    const start = (handle: Handle, handling: Omit<MemoryHandling, 'handle'> & { transactional: boolean }) => {
      parse(methodSchema, handle, 'handler')
      if (handling.transactional)
        throw new ValidationError(
          'options.transactional',
          'cannot be used: a store in memory has no transactions; leave it out, or test with startPostgres of meowmx/embedded',
          true,
        )
      return this.start(name, selection, checked, {
        ...handling,
        handle: this.#seeing(name, selection, handle),
      })
    }
    return {
      name,
      process: (handler: (event: any, context: any) => unknown, options = {}) =>
        start(parse(methodSchema, handler, 'handler') && ((events, context) => handler(events[0], context)), {
          ...parse(processOptionsSchema, options, 'options'),
          batchSize: 1,
        }),
      processBatches: (handler: Handle, options = {}) =>
        start(handler, parse(batchOptionsSchema, options, 'options')),
    }
  }

  /** The events as they are selected, in the context of the last one. */
  #seeing(subscription: string, { view }: Selection, handle: Handle): MemoryHandling['handle'] {
    return (events, context, worker) => {
      const last = events.at(-1)!
      const { position } = last
      const call: HandlerCall = {
        store: this,
        worker,
        subscription,
        position,
        active: true,
        outer: undefined,
      }
      const seen = () => events.map((event) => (view ? view(structuredClone(event)) : structuredClone(event)))
      return runIn(callScope(last, call), () => handle(seen(), context))
    }
  }

  /** Starts a worker. */
  start(name: string, selection: Selection, options: Options, handling: MemoryHandling): MemoryWorker {
    if (this.#closed) throw new ClosedError()
    const { partitions } = options
    let consumer = this.#consumers.get(name)
    if (!consumer) {
      consumer = new Consumer(
        { name, selection, partitions, after: this.#after(options) },
        this.#log,
        this.#time,
      )
      this.#consumers.set(name, consumer)
      this.#time.waiting.add(consumer)
    }
    const isSame = consumer.selection.key === selection.key && consumer.partitions === partitions
    const what = `subscription "${name}" exists with another selector or number of partitions`
    const refusal = isSame ? undefined : new SubscriptionMismatchError(name, what)
    const worker = new MemoryWorker(consumer, handling, this.#time, refusal)
    this.#workers.add(worker)
    worker.done.catch(() => {}).finally(() => this.#workers.delete(worker))
    return worker
  }

  #after({ from }: Options): number {
    const { head } = this.#log
    if (from === 'start') return 0
    if (from === 'end') return head
    if ('since' in from) return this.#log.positionAt(new Date(from.since))
    if (from.after > head) throw new HistoryLostError(from.after, head)
    return from.after
  }

  /** Begins what can begin now. */
  pump(): void {
    for (const consumer of this.#consumers.values()) consumer.fire()
  }

  parked(name: string, options: ParkedOptions = {}): ParkedEvent[] {
    const consumer = this.known(name)
    const { limit } = parse(parkedOptionsSchema, options, 'options')
    return structuredClone(consumer.parked.slice(0, limit))
  }

  replayParked(name: string, options: ReplayOptions = {}): number {
    const consumer = this.known(name)
    refuseUndefined(options, 'options', { streamId: 'every stream that is parked' })
    return consumer.replay(parse(replayOptionsSchema, options, 'options').streamId)
  }

  list(options: SubscriptionsOptions = {}): SubscriptionInfo[] {
    const { names } = parse(subscriptionsOptionsSchema, options, 'options')
    return [...this.#consumers.values()]
      .filter(({ name }) => !names || names.includes(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((consumer) => this.#info(consumer))
  }

  #info({ name, selection, partitions, workers, position, lag, parked }: Consumer): SubscriptionInfo {
    const { categories, types, streamId, tags } = selection
    const owner = workers.size > 0 ? 'memory' : null
    const all = Array.from({ length: partitions }, (_, partition) => ({
      ...{ partition, position, owner },
      leaseUntil: null,
    }))
    return {
      name,
      status: owner ? 'running' : 'stopped',
      pausedAt: null,
      selector: selector(
        categories.length === 0 ? null : [...categories],
        types && [...types],
        streamId,
        tags && [...tags],
      ),
      partitions: all,
      ...{ position, lag, lagIsEstimate: false, heldBack: NOT_HELD_BACK },
      ...{ parked: parked.length, parkedIsEstimate: false, ahead: 0 },
      parkedStreams: new Set(parked.map(({ event }) => streamKey(event))).size,
    }
  }

  async waitFor(name: string, position: number, options: WaitOptions = {}): Promise<void> {
    const consumer = this.known(name)
    const at = parse(positionSchema, position, 'position')
    const { timeoutMs, signal } = parse(waitOptionsSchema, options, 'options')
    signal?.throwIfAborted()
    let isOver = false
    const wait = async () => {
      while (consumer.position < at && !isOver) await consumer.changed.next()
    }
    const late = () => {
      const what = `waiting for subscription "${name}" to reach position ${at} (in memory, what is tried again waits for advance(ms))`
      throw new TimeoutError(what, timeoutMs)
    }
    try {
      await withTimeout(timeoutMs, wait, late, { clock: systemClock, ...(signal ? { signal } : {}) })
    } finally {
      isOver = true
    }
  }

  /** The subscription of this name. */
  known(name: string): Consumer {
    const found = this.#consumers.get(parse(nameSchema, name, 'name'))
    if (!found) throw new SubscriptionNotFoundError(name)
    return found
  }

  /** Ends all workers; after an abort of `up` it does not wait for their handlers. */
  async close(up: AbortSignal): Promise<void> {
    this.#closed = true
    const forget = whenAborted(up, () => {
      for (const worker of this.#workers) void worker.stop({ timeoutMs: 0 })
    })
    await Promise.all([...this.#workers].map((worker) => worker.stop().catch(() => {})))
    forget()
  }
}
