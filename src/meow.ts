import type { Observable } from 'rxjs'
import type { AppendOptions, StreamWrite } from './append/append.ts'
import { Appender } from './append/append.ts'
import { Batch } from './append/batch.ts'
import { Batcher } from './append/batcher.ts'
import type { AppendResult } from './append/request.ts'
import { Database } from './database.ts'
import { ClosedError } from './errors.ts'
import type { NewEvent, RecordedEvent, StreamRef } from './event.ts'
import type { StoreStatus } from './live/listener.ts'
import { Live } from './live/live.ts'
import type { EventsOptions } from './live/observer.ts'
import { Observer } from './live/observer.ts'
import { checkHealth, migrate } from './migrate.ts'
import type { ConnectOptions } from './options.ts'
import { connectOptions, parse } from './options.ts'
import type { CategoryInfo, LoadOptions, ReadOptions, ReadResult } from './read/reader.ts'
import { Reader } from './read/reader.ts'
import type { Selector } from './read/selector.ts'
import type { DurableSubscription, SubscriptionOptions } from './subscribe/subscription.ts'
import { Subscriptions } from './subscribe/subscription.ts'

/**
 * Open a store: check the options, reach the server, start the listener.
 *
 * @throws ValidationError for an option that can't be right
 * @throws ConnectionError where there is no server, no entry, no rights
 * @throws SchemaError where the schema is newer than this library, or in a state in which events could be lost
 * @example
 * const meow = await connect({ connectionString: 'postgres://localhost/shop' })
 * await meow.migrate()
 */
export async function connect(options: ConnectOptions = {}): Promise<Meow> {
  const db = new Database(parse(connectOptions, options, 'options'))
  try {
    await checkHealth(db)
  } catch (error) {
    await db.close()
    throw error
  }
  return new Meow(db)
}

/** A store: one PostgreSQL schema that holds events. Made by `connect`. */
export class Meow implements AsyncDisposable {
  readonly #db: Database
  readonly #batcher: Batcher
  readonly #appender: Appender
  readonly #reader: Reader
  readonly #live: Live
  readonly #observer: Observer
  readonly #subscriptions: Subscriptions
  readonly #calls = new Set<Promise<unknown>>() // under way
  #closing: Promise<void> | undefined
  #closed = false

  /** How push stands: the current value first, then each change; completes on close. */
  readonly status$: Observable<StoreStatus>

  /** @internal Use `connect`. */
  constructor(db: Database) {
    const batch = new Batch(db)
    this.#db = db
    this.#batcher = new Batcher(db, batch)
    this.#appender = new Appender(batch, this.#batcher)
    this.#reader = new Reader(db)
    this.#live = new Live(db)
    this.#observer = new Observer(db, this.#live, this.#reader)
    this.#subscriptions = new Subscriptions(db, this.#live, this.#reader)
    this.status$ = this.#live.listener.status$
  }

  /**
   * Create the schema, or bring it up to date; all of it or nothing. Does nothing where nothing is to be done, and is
   * safe when run by many processes at once. Needs the right to create in the database.
   *
   * @returns the SQL files that were run, e.g. `['001_events.sql', …]`, or none
   * @throws SchemaError where the schema is newer than this library
   */
  async migrate(): Promise<{ applied: string[] }> {
    const result = await migrate(this.#db)
    await checkHealth(this.#db)
    return result
  }

  /**
   * Append one event or several to one stream, all or none.
   *
   * Appends that run concurrently in this process travel together, each with its own outcome. A retry with the same
   * ids is safe for ever: it returns the first result, with `deduplicated: true`.
   *
   * @throws ValidationError for what JSON or PostgreSQL can't hold, before anything is sent
   * @throws VersionConflictError where the stream is not as `expectedVersion` says; nothing is written
   * @throws DuplicateEventError where an id is known with another stream, type or data
   * @throws OutcomeUnknownError where the connection broke after sending and stayed away
   * @example
   * await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: { price: 9 } }, { expectedVersion: 'no-stream' })
   */
  append(
    stream: StreamRef,
    events: NewEvent | readonly NewEvent[],
    options?: AppendOptions,
  ): Promise<AppendResult> {
    return this.#open(() => this.#appender.append(stream, events, options))
  }

  /**
   * Append to several streams, all or none; results in the order of `writes`. Errors as of `append`.
   *
   * @example
   * await meow.appendAll([
   *   { stream: { category: 'account', streamId: 'a' }, events: { type: 'Withdrawn', data: { amount: 5 } }, expectedVersion: 3 },
   *   { stream: { category: 'account', streamId: 'b' }, events: { type: 'Deposited', data: { amount: 5 } } },
   * ])
   */
  appendAll(
    writes: readonly StreamWrite[],
    options?: Pick<AppendOptions, 'client'>,
  ): Promise<AppendResult[]> {
    return this.#open(() => this.#appender.appendAll(writes, options))
  }

  /**
   * The events of one stream, the whole stream unless limited; none where there is no such stream.
   *
   * @example
   * const events = await meow.load({ category: 'order', streamId: '42' }, { fromVersion: 10 })
   */
  load(stream: StreamRef, options?: LoadOptions): Promise<RecordedEvent[]> {
    return this.#open(() => this.#reader.load(stream, options))
  }

  /**
   * One page of events in position order, up to the horizon: nothing can still appear in what it covers.
   *
   * @example
   * let after = 0
   * const page = await meow.read({ category: 'order' }, { after, limit: 100 })
   * after = page.position
   */
  read(selector: Selector, options?: ReadOptions): Promise<ReadResult> {
    return this.#open(() => this.#reader.read(selector, options))
  }

  /** All categories, by name, with what they hold. Counts every event: meant for people, not for a hot path. */
  categories(): Promise<CategoryInfo[]> {
    return this.#open(() => this.#reader.categories())
  }

  /**
   * Events as a cold Observable: catches up from `from`, then goes on live, in position order, each exactly once;
   * never an event that could still roll back. A lost connection is not an error: it goes on where it was.
   *
   * **No back-pressure:** RxJS has none. A slow consumer takes `iterate` or a subscription.
   *
   * @example
   * meow.events({ category: 'order' }, { from: 'end' }).subscribe((event) => console.log(event.type))
   */
  events(selector: Selector, options?: EventsOptions): Observable<RecordedEvent> {
    return this.#observer.events(selector, options)
  }

  /**
   * The same events, pulled: reads at most two pages (2,000 events) ahead of its consumer.
   *
   * @example
   * for await (const event of meow.iterate({ category: 'order' }, { live: false })) console.log(event.type)
   */
  iterate(selector: Selector, options?: EventsOptions): AsyncIterable<RecordedEvent> {
    return this.#observer.iterate(selector, options)
  }

  /**
   * A durable, named consumer with a checkpoint in the store. Nothing happens before `deliveries()` is subscribed to,
   * or `process()` is called.
   *
   * @example
   * const worker = meow.subscription('mailer', { category: 'order' }).process((event) => sendMail(event))
   */
  subscription(name: string, options: SubscriptionOptions): DurableSubscription {
    return this.#subscriptions.get(name, options)
  }

  /** Drain what is under way, complete every Observable, and leave no connection, timer or handle. Twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    // Handlers that are drained may still append and read.
    this.#closed = !this.#subscriptions.running
    this.#observer.close()
    await this.#subscriptions.close()
    this.#closed = true
    await Promise.all([this.#batcher.close(), this.#live.close(), Promise.allSettled(this.#calls)])
    await this.#db.close()
  }

  #open<T>(action: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new ClosedError())
    const call = action()
    this.#calls.add(call)
    const forget = () => this.#calls.delete(call)
    call.then(forget, forget)
    return call
  }
}
