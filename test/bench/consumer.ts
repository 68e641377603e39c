import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { until } from '../support/until.ts'

export interface State {
  /** Events that it has seen, all its subscriptions together. */
  seen: number
  /** When the first one, by the machine's clock, in ms. */
  first: number
  /** When the last one, by the machine's clock, in ms. */
  at: number
  /** What it has used, in ms. */
  cpu: number
  /** The highest memory use that was measured, in bytes. */
  rss: number
}

export interface ConsumerOptions {
  url: string
  how: 'process' | 'transactional' | 'events' | 'notify' | 'paging' | 'paging-events' | 'peer'
  /** Of the subscriptions; of the peer. */
  names: string[]
  /** Where peers are installed. */
  folder?: string
  category?: string
  from?: 'start' | 'end'
  maxInFlight?: number
  /** Begins behind this position. */
  after?: number
  /** Instead: `paging` and `events` read this many events after each of these positions. */
  spans?: number[]
  span?: number
}

/** A process that consumes. */
export class Consumer {
  readonly #child
  readonly #lines

  constructor(options: ConsumerOptions) {
    const file = new URL('./child.mjs', import.meta.url).pathname
    this.#child = spawn(process.execPath, [file, JSON.stringify({ category: 'order', ...options })], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  static async start(options: ConsumerOptions): Promise<Consumer> {
    const consumer = new Consumer(options)
    await consumer.#next()
    return consumer
  }

  async state(): Promise<State> {
    return this.#ask('state')
  }

  /** How long each event took, in ms, since the last question; only events that say when they were written. */
  async times(): Promise<number[]> {
    return (await this.#ask('times')).times
  }

  /** Resolves once it has seen this many. */
  async seen(count: number, timeoutMs = 120_000): Promise<State> {
    let state!: State
    const enough = async () => {
      state = await this.state()
      return state.seen >= count
    }
    await until(enough, { timeoutMs, what: `${count} events` })
    return state
  }

  async stop(): Promise<void> {
    this.#child.stdin.end()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
  }

  async #ask(line: string) {
    this.#child.stdin.write(`${line}\n`)
    return this.#next()
  }

  async #next() {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the consumer has ended')
    return JSON.parse(value)
  }
}
