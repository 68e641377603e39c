// The open pages: what they are sent, and the queries that they share.
import { every, wall } from '../core/clock.ts'
import { messageOf } from '../core/describe.ts'
import { redactText } from '../core/secrets.ts'
import type { Meow } from '../meow.ts'
import type { SubscriptionInfo } from '../subscriptions/admin/subscriptions.ts'
import { Counts } from './counts.ts'
import type { Filter } from './filter.ts'
import { CommitCount } from './held.ts'
import type { LivePage } from './live-page.ts'
import type { Rebuilds } from './projections.ts'
import { Paces } from './projections.ts'
import { Rates } from './rates.ts'
import { Sample } from './sample.ts'
import { ManySeries, Series } from './series.ts'
import type { SharedQuery } from './shared-query.ts'
import type { TailEvent } from './show.ts'
import type { StudioQueries } from './studio-queries.ts'
import { Tail } from './tail.ts'

const TAIL_MS = 250
const SECOND_MS = 1_000
/** How many subscriptions, versions of projections, process managers and blocking transactions a page gets at most. */
const SHOWN = 500

interface Page {
  readonly stream: LivePage
  readonly sample: Sample
}

/** The open pages. They share one tail and one set of queries; while no page is open, nothing is queried. */
export class OpenPages {
  /** The lag of each subscription while a page was open. */
  readonly lags = new ManySeries(SHOWN)
  /** Events a second while a page was open. */
  readonly rate = new Series()
  readonly #meow: Meow
  readonly #queries: StudioQueries
  readonly #rebuilds: Rebuilds
  readonly #paces = new Paces()
  readonly #pages = new Set<Page>()
  readonly #sent = new Map<string, string>() // the latest message of each kind
  readonly #problems = new Map<string, string>()
  readonly #counts = new Counts()
  readonly #rates = new Rates()
  readonly #commits = new CommitCount((category, events) => this.#rates.count(category, events))
  readonly #answers = new Map<string, unknown>()
  readonly #pending = new Set<string>() // queries that are not answered yet
  #tail: Tail | undefined
  #stop: (() => void) | undefined
  #running: Promise<unknown> = Promise.resolve()
  #horizon: number | null = null
  #heldBack: { events: number } | null = null

  constructor(meow: Meow, queries: StudioQueries, rebuilds: Rebuilds) {
    this.#meow = meow
    this.#rebuilds = rebuilds
    this.#queries = queries
  }

  /** Sends a page everything that is known, and then every change. Call the returned function when the page has gone. */
  join(stream: LivePage, filter: Filter): () => void {
    const page = { stream, sample: new Sample(filter) }
    this.#pages.add(page)
    for (const [kind, json] of this.#sent) stream.send(kind, json)
    for (const event of this.#tail?.recent ?? []) page.sample.offer(event)
    if (this.#pages.size === 1) this.#start()
    return () => {
      if (this.#pages.delete(page) && this.#pages.size === 0) this.#stop?.()
    }
  }

  async close(): Promise<void> {
    for (const { stream } of this.#pages) stream.end()
    this.#pages.clear()
    this.#stop?.()
    await this.#running
  }

  #start(): void {
    const stop = new AbortController()
    const tail = new Tail(this.#meow, {
      heard: (event, old) => this.#onEvent(event, old),
      skipped: (positions) => {
        this.#commits.clear()
        for (const { sample } of this.#pages) sample.miss(positions)
      },
      failed: (error) => this.#problems.set('tail', message(error)),
    })
    this.#tail = tail
    this.#running = Promise.all([this.#running, tail.run(stop.signal)]).then(() => {})
    const timers = [every(TAIL_MS, () => this.#flush()), every(SECOND_MS, () => this.#second())]
    this.#stop = () => {
      stop.abort()
      for (const end of timers) end()
      this.#stop = undefined
      this.#tail = undefined
      // The next page must not get old values.
      this.#sent.clear()
      this.#answers.clear()
      this.#problems.clear()
      this.#rates.clear()
      this.#commits.clear()
      this.#heldBack = null
      this.lags.interrupt(wall())
      this.rate.add(wall(), null)
    }
    this.#second()
  }

  #onEvent(event: TailEvent, old: boolean): void {
    this.#problems.delete('tail')
    if (!old) this.#commits.heard(event.category)
    this.#counts.add(event)
    for (const { sample } of this.#pages) sample.offer(event)
  }

  /** Sends new events to the pages that have room. For the others they are collected, up to a limit. */
  #flush(): void {
    for (const { stream, sample } of this.#pages) {
      if (stream.waits('tail')) continue
      const taken = sample.take()
      if (taken) stream.send('tail', JSON.stringify(taken))
    }
  }

  #second(): void {
    const { categories, subscriptions, stallers, horizon, held, projections, timers, managers } =
      this.#queries
    this.#query('categories', categories, (answer) => this.#counts.replace(answer))
    this.#query('subscriptions', subscriptions, (answer) => this.#send('subscriptions', summary(answer)))
    this.#query('stallers', stallers, (answer) => this.#send('stallers', answer.slice(0, SHOWN)))
    this.#query('projections', projections, (answer) =>
      this.#send('projections', {
        versions: this.#paces.add(answer).slice(0, SHOWN),
        all: answer.length,
        failed: this.#rebuilds.failed,
      }),
    )
    this.#query('timers', timers, (answer) => this.#send('timers', answer))
    this.#query('processes', managers, (answer) => this.#send('processes', answer.slice(0, SHOWN)))
    this.#query('horizon', horizon, (answer) => {
      this.#horizon = answer
      this.#tail?.reached(answer)
    })
    this.#query('held', held, (answer) => {
      this.#heldBack = { events: answer.categories.reduce((sum, { events }) => sum + events, 0) }
      this.#commits.held(answer, this.#tail?.position ?? 0)
    })
    this.#sampleLags()
    const rates = this.#rates.tick()
    if (this.#answers.has('categories')) this.#send('categories', this.#counts.list(rates))
    const rate = Math.round([...rates.values()].reduce((sum, each) => sum + each, 0))
    const at = wall()
    this.rate.add(at, rate)
    const { state, since, cause } = this.#queries.listener
    this.#send('store', {
      at, // changes every second, so a page that receives nothing knows that the connection is lost
      state,
      since,
      cause: cause === undefined ? null : message(cause),
      reconnects: this.#queries.reconnects,
      rate,
      heldBack: this.#heldBack, // null if it is not known yet
      horizon: this.#horizon === null ? null : Math.max(this.#horizon, this.#tail?.position ?? 0),
      lastPosition: this.#counts.lastPosition,
      problems: Object.fromEntries(this.#problems),
    })
  }

  #query<T>(kind: string, query: SharedQuery<T>, use: (answer: T) => void): void {
    if (this.#pending.has(kind)) return
    this.#pending.add(kind)
    query.get().then(
      (answer) => {
        this.#pending.delete(kind)
        if (!this.#stop) return
        this.#problems.delete(kind)
        const [known, first] = [this.#answers.get(kind) === answer, !this.#answers.has(kind)]
        this.#answers.set(kind, answer)
        if (known) return
        use(answer)
        if (first && kind === 'categories') this.#send(kind, this.#counts.list(new Map()))
      },
      (error) => {
        this.#pending.delete(kind)
        this.#problems.set(kind, message(error))
      },
    )
  }

  #sampleLags(): void {
    const answer = this.#answers.get('subscriptions') as SubscriptionInfo[] | undefined
    if (!answer) return
    const unknown = this.#problems.has('subscriptions')
    this.lags.add(wall(), new Map(answer.map(({ name, lag }) => [name, unknown ? null : lag])))
  }

  #send(kind: string, value: unknown): void {
    const json = JSON.stringify(value)
    if (this.#sent.get(kind) === json) return
    this.#sent.set(kind, json)
    for (const { stream } of this.#pages) stream.send(kind, json)
  }
}

/** Partitions are only counted here; `/api/subscription` has those of one subscription. */
function summary(subscriptions: readonly SubscriptionInfo[]) {
  const rows = subscriptions.slice(0, SHOWN).map(({ partitions, ...rest }) => {
    const owners = new Set(partitions.flatMap(({ owner }) => owner ?? []))
    const owned = partitions.filter(({ owner }) => owner !== null).length
    return { ...rest, partitions: partitions.length, owned, owners: owners.size }
  })
  return { subscriptions: rows, all: subscriptions.length }
}

const message = (error: unknown) => redactText(messageOf(error))
