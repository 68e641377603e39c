// `memoryStore`: a store in memory, for users' unit tests.
import { z } from 'zod'
import { Appender } from '../append/append.ts'
import { Aborted } from '../append/batch.ts'
import type { Request } from '../append/request.ts'
import { checkStream } from '../append/request.ts'
import { settledOrAborted } from '../core/abort.ts'
import { systemClock } from '../core/clock.ts'
import { ClosedError, ValidationError } from '../core/errors.ts'
import { methodSchema, ms } from '../core/fields.ts'
import { silent } from '../core/logger.ts'
import type { StopOptions } from '../core/stop-options.ts'
import { closeOptionsSchema, TimeLimit } from '../core/stop-options.ts'
import { parse } from '../core/validate.ts'
import { DeadlockError } from '../events/errors.ts'
import { enclosingCall } from '../events/event-context.ts'
import { Observer } from '../live/observer.ts'
import { Aggregates } from '../models/aggregate.ts'
import { isDecisionModel, ModelDecisions } from '../models/decision-model.ts'
import { Decisions } from '../models/decisions.ts'
import { States } from '../models/states.ts'
import { Watches } from '../models/watches.ts'
import { headBy } from '../read/head.ts'
import type { CategoriesOptions } from '../read/reader.ts'
import { categoriesOptionsSchema } from '../read/reader.ts'
import { checkStreams } from '../read/streams.ts'
import { trace } from '../read/trace.ts'
import type { EventStore } from '../store.ts'
import { MemoryLog } from './log.ts'
import { MemoryProcesses } from './memory/processes.ts'
import { MemorySubscriptions } from './memory/subscriptions.ts'
import { MemoryTime } from './memory/time.ts'
import { TimerHolder } from './memory/timer-worker.ts'
import { MemoryTimers } from './memory/timers.ts'
import { MemoryReader } from './reader.ts'

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /**
   * Returns the time of the store, with a precision of 1 ms, to which `advance` adds. Default: the current time. Return a fixed time to
   * compare whole events, and to have no other time go by than that of `advance`.
   */
  now?: (() => Date) | undefined
}

const memoryStoreOptionsSchema = z.strictObject({ now: methodSchema.default(() => () => new Date()) })

/** A store in memory. */
export interface MemoryStore extends EventStore {
  /**
   * Moves the clock of the store on. Timers of the store and of process managers fire, and failed handlers are tried again, in
   * the order of their times and each at its time; and the workers handle all events. Nothing sleeps. It resolves when nothing
   * is under way any more; with 0 it only waits for that. Timers of the store fire here even if no worker runs.
   *
   * @param ms how far, in ms; minimum 0
   * @throws ValidationError; DeadlockError if a handler of this store calls it; ClosedError
   * @example
   * await store.append(Order.stream('42'), Order.OrderPlaced({ price: 9 }))
   * await store.advance(15 * 60_000) // nobody has paid
   */
  advance(ms: number): Promise<void>
}

/** Snapshots are a cache, so a store without any gives the same results. */
const noSnapshots = { load: async () => undefined, save: async () => {} }
/** A retry after a conflict need not wait: no other process can write to this store. */
const clock = { ...systemClock, sleep: async () => {} }

/**
 * Makes a store in memory, for unit tests without a server. It runs the same code as a store in PostgreSQL, except for the
 * table, so it has the same checks, errors, results and Observables. It is gone when nothing refers to it any more.
 *
 * Subscriptions, timers and process managers run by a clock of its own: `advance` moves it. A failed handler is tried again then, after
 * the longest pause that its options allow, and there is no detection of outages. All its workers share one partition.
 *
 * It has no transactions: the options `client` and `transactional` are a ValidationError. What it cannot do, such as projections, is
 * not in its type. For everything that depends on the database, `startPostgres` of `meowmx/embedded` starts a real server.
 *
 * @throws ValidationError if an option is invalid
 * @example
 * const store = memoryStore({ now: () => new Date('2026-01-01') })
 * await placeOrder(store, '42', 9) // a function of yours that takes an EventStore
 * assert.equal((await store.load({ category: 'order', streamId: '42' })).length, 1)
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const { now } = parse(memoryStoreOptionsSchema, options, 'options')
  const log = new MemoryLog()
  const reader = new MemoryReader(log)
  const calls = new Set<Promise<unknown>>() // calls that have not settled
  let closed = false

  const time: MemoryTime = new MemoryTime(now, () => pump())
  const add = (requests: readonly Request[]) => {
    const outcomes = log.append(requests, new Date(time.now()))
    reader.wake()
    time.wake()
    return outcomes
  }
  const write = async (requests: readonly Request[]) => {
    if (closed) throw new ClosedError()
    return add(requests)
  }
  const subscriptions = new MemorySubscriptions(log, time)
  const timers = new MemoryTimers(time, (request) => add([request])[0]!)
  const processes = new MemoryProcesses(
    time,
    subscriptions,
    (requests) => {
      if (requests.length === 0) return
      const refused = add(requests).find(
        (outcome) => outcome instanceof Error && !(outcome instanceof Aborted),
      )
      if (refused) throw refused
    },
    reader.key,
  )
  const holder = new TimerHolder(() => time.wake())
  time.waiting.add(timers)
  const pump = () => {
    if (closed) return
    const fires = holder.running || subscriptions.running
    for (let due = timers.next(); fires && due !== undefined && due <= time.now(); due = timers.next())
      timers.fire()
    processes.pump()
    subscriptions.pump()
  }
  const appender = new Appender({ run: write }, { append: write }, headBy(reader), reader.seenKey)
  const observer = new Observer(reader.open)
  const states = new States(reader, noSnapshots)
  const aggregates = new Aggregates(reader, appender)
  const decisions = new Decisions(states, noSnapshots, appender, log.traceSource.byIds, clock)
  const modelDecisions = new ModelDecisions((query, options) => reader.query(query, options), appender, clock)
  const watches = new Watches({ clock, settings: { logger: silent } }, observer, states)

  // The types of arguments and results are those of EventStore.
  const open = (options: { client?: unknown } | undefined, action: () => Promise<any>): Promise<any> => {
    if (closed) return Promise.reject(new ClosedError())
    if (options?.client !== undefined) return Promise.reject(noTransactions(options.client))
    const call = action()
    calls.add(call)
    const forget = () => calls.delete(call)
    call.then(forget, forget)
    return call
  }
  const limit = new TimeLimit(systemClock)
  const close = async (options: StopOptions = {}) => {
    const { timeoutMs } = parse(closeOptionsSchema, options, 'options')
    closed = true
    observer.close()
    watches.close()
    limit.set(timeoutMs)
    holder.close()
    await subscriptions.close(limit.up)
    await settledOrAborted(Promise.allSettled(calls), limit.up)
    limit.clear()
  }

  return {
    append: (stream, events, options) => open(options, () => appender.append(stream, events as any, options)),
    appendAll: (writes, options) => open(options, () => appender.appendAll(writes as any, options)) as any,
    load: (stream, options) => open(options, () => reader.load(stream, options)),
    query: (query, options) => open(options, () => reader.query(query, options)),
    read: (selector, options) => open(options, () => reader.read(selector, options)),
    categories: (options?: CategoriesOptions) =>
      open(undefined, async () => {
        const { after, until = Infinity, counts } = parse(categoriesOptionsSchema, options ?? {}, 'options')
        const found = log.categories(after, until)
        return counts ? found : found.map(({ category, lastPosition }) => ({ category, lastPosition }))
      }),
    head: (stream) => open(undefined, async () => log.load(checkStream(stream)).length - 1),
    streams: (category, options) => open(undefined, async () => log.streams(checkStreams(category, options))),
    trace: (id, options) => open(undefined, () => trace(log.traceSource, id, options)),
    events: (selector, options) => observer.events(selector, options) as any,
    iterate: (selector, options) => observer.iterate(selector, options) as any,
    loadAggregate: (Class, streamId, options) =>
      open(options, () => aggregates.load(Class, streamId, options)),
    saveAggregate: (aggregate, options) => open(options, () => aggregates.save(aggregate, options)),
    decide: (model: any, ...args: [any, any?, any?]) =>
      isDecisionModel(model)
        ? open(args[1], () => modelDecisions.decide(model, args[0], args[1]))
        : open(args[2], () => decisions.decide(model, ...(args as [any, any, any]))),
    state: (decider, streamId, options) => open(options, () => states.state(decider, streamId, options)),
    watch: (decider, streamId) => watches.watch(decider, streamId),
    subscription: (name, options) => subscriptions.get(name, options as any) as any,
    subscriptions: (options) => open(undefined, async () => subscriptions.list(options)),
    parked: (name, options) => open(undefined, async () => subscriptions.parked(name, options)),
    replayParked: (name, options) => open(undefined, async () => subscriptions.replayParked(name, options)),
    waitFor: (name, position, options) =>
      open(undefined, () => subscriptions.waitFor(name, position, options)),
    schedule: (key, due, write, options) =>
      open(options, async () => timers.schedule(key, due, write, options)),
    unschedule: (key, options) => open(options, async () => timers.unschedule(key, options)),
    scheduled: (options) => open(undefined, async () => timers.scheduled(options)),
    runTimers: () => holder.start(),
    runProcessManager: (definition) => processes.run(definition),
    processInstances: (name, options) => open(undefined, async () => processes.instances(name, options)),
    advance: (byMs) =>
      open(undefined, async () => {
        const by = parse(ms(0), byMs, 'ms')
        const own = enclosingCall(({ store }) => store === subscriptions)
        if (own) throw new DeadlockError('advance()', own.subscription, own.position)
        await time.advance(by)
      }),
    close,
    [Symbol.asyncDispose]: () => close(),
  }
}

function noTransactions(client: unknown): ValidationError {
  return new ValidationError(
    'options.client',
    'cannot be used: a store in memory has no transactions; leave it out, or test with startPostgres of meowmx/embedded',
    client,
  )
}
