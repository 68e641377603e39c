import { z } from 'zod'
import { Appender } from '../append/append.ts'
import type { Request } from '../append/request.ts'
import { settledOrAborted } from '../core/abort.ts'
import { systemClock } from '../core/clock.ts'
import { ClosedError, ValidationError } from '../core/errors.ts'
import { method } from '../core/fields.ts'
import { isDate } from '../core/kinds.ts'
import { silent } from '../core/logger.ts'
import type { StopOptions } from '../core/stop-options.ts'
import { closeOptionsSchema, TimeLimit } from '../core/stop-options.ts'
import { parse } from '../core/validate.ts'
import { Observer } from '../live/observer.ts'
import { Aggregates } from '../models/aggregate.ts'
import { Decisions } from '../models/decisions.ts'
import { States } from '../models/states.ts'
import { Watches } from '../models/watches.ts'
import { headBy } from '../read/head.ts'
import type { CategoriesOptions } from '../read/reader.ts'
import { categoriesOptions } from '../read/reader.ts'
import type { EventStore } from '../store.ts'
import { MemoryLog } from './log.ts'
import { MemoryReader } from './reader.ts'

/** What `memoryStore` takes. */
export interface MemoryStoreOptions {
  /** The time at which events are recorded, to the millisecond. Default: that of now. Give one that stands still to compare whole events. */
  now?: (() => Date) | undefined
}

const memoryStoreOptions = z.strictObject({ now: method.default(() => () => new Date()) })

/** A cache that never has anything, as a cache may: what is decided, read and watched is the same. */
const noSnapshots = { load: async () => undefined, save: async () => {} }
/** Whoever loses a race here need not wait before he tries again: there is no other process that could be in the way. */
const clock = { ...systemClock, sleep: async () => {} }

/**
 * A store in memory, for unit tests: without a server, gone with the last reference to it. It checks, refuses, returns and
 * observes as one in PostgreSQL does, for it is the same code but for the table.
 *
 * There are no transactions: `client` is a ValidationError. What it does not have, such as subscriptions, is not in its type:
 * for those, and whatever else depends on the database, `startPostgres` of `meowmx/embedded` gives a real one.
 *
 * @throws ValidationError for an option that can't be right
 * @example
 * const store = memoryStore({ now: () => new Date('2026-01-01') })
 * await placeOrder(store, '42', 9) // which takes an EventStore
 * assert.equal((await store.load({ category: 'order', streamId: '42' })).length, 1)
 */
export function memoryStore(options: MemoryStoreOptions = {}): EventStore {
  const { now } = parse(memoryStoreOptions, options, 'options')
  const log = new MemoryLog()
  const reader = new MemoryReader(log)
  const calls = new Set<Promise<unknown>>() // under way
  let closed = false

  const write = async (requests: readonly Request[]) => {
    if (closed) throw new ClosedError()
    const outcomes = log.append(requests, time(now()))
    reader.ring()
    return outcomes
  }
  const appender = new Appender({ run: write }, { append: write }, headBy(reader))
  const observer = new Observer(reader.open)
  const states = new States(reader, noSnapshots)
  const aggregates = new Aggregates(reader, appender)
  const decisions = new Decisions(states, noSnapshots, appender, clock)
  const watches = new Watches({ clock, settings: { logger: silent } }, observer, states)

  /** Untyped: what goes in and comes out is typed by EventStore. */
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
    await settledOrAborted(Promise.allSettled(calls), limit.up)
    limit.clear()
  }

  return {
    append: (stream, events, options) => open(options, () => appender.append(stream, events as any, options)),
    appendAll: (writes, options) => open(options, () => appender.appendAll(writes, options)),
    load: (stream, options) => open(options, () => reader.load(stream, options)),
    read: (selector, options) => open(options, () => reader.read(selector, options)),
    categories: (options?: CategoriesOptions) =>
      open(undefined, async () => {
        const { after, until = Infinity, counts } = parse(categoriesOptions, options ?? {}, 'options')
        const found = log.categories(after, until)
        return counts ? found : found.map(({ category, lastPosition }) => ({ category, lastPosition }))
      }),
    events: (selector, options) => observer.events(selector, options) as any,
    iterate: (selector, options) => observer.iterate(selector, options) as any,
    loadAggregate: (Class, streamId, options) =>
      open(options, () => aggregates.load(Class, streamId, options)),
    saveAggregate: (aggregate, options) => open(options, () => aggregates.save(aggregate, options)),
    decide: (decider, streamId, command, options) =>
      open(options, () => decisions.decide(decider, streamId, command, options)),
    state: (decider, streamId, options) => open(options, () => states.state(decider, streamId, options)),
    watch: (decider, streamId) => watches.watch(decider, streamId),
    close,
    [Symbol.asyncDispose]: () => close(),
  }
}

function noTransactions(client: unknown): ValidationError {
  return new ValidationError(
    'options.client',
    'can not be given: a store in memory has no transactions',
    client,
  )
}

/** A time of its own: whoever gave it may change it. */
function time(date: Date): Date {
  if (!isDate(date) || Number.isNaN(date.getTime()))
    throw new ValidationError('options.now', 'must return a valid Date', date)
  return new Date(date)
}
