import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { AppendResult, Meow, NewEvent, VersionConflictError } from '../../src/index.ts'
import type { Random } from '../support/random.ts'
import { random } from '../support/random.ts'

/** Events to be written, all or none, and the answer to the writer. */
export interface Attempt {
  readonly what: string
  readonly ids: readonly string[]
  outcome: 'open' | 'done' | 'refused' | 'unknown'
  /** What an append returned. Set before the outcome is. */
  answer?: readonly AppendResult[]
  /** The error of an append that was refused because of the stream's version. */
  conflict?: VersionConflictError
}

export interface WriterOptions {
  /** Records what is about to be written. `transaction`: attempts that share a number are in one transaction. */
  begin(what: string, ids: readonly string[], transaction?: number): Attempt
  /** Size of an event's data in bytes; default: `{}`. */
  bytes?: (dice: Random) => number
  /** Pause of each of the nine between two writes, in ms: least and most; default 5 to 50. */
  pauseMs?: [number, number]
  meow: Meow
  /** Where transactions of the writers' own go. */
  url: string
  schema: string
  categories: readonly string[]
  seed: number
  queryTimeoutMs: number
}

/** Errors that say that nothing was written, also by earlier attempts. The last ones come from a server with short timeouts. */
const isRefusal = (error: unknown) =>
  ['ERR_CONNECTION', 'ERR_TIMEOUT', '57014', '55P03'].includes((error as { code?: string }).code!)
const STREAMS = 12

/** Many writers at once, which append in every possible way until they are stopped. */
export class Writers {
  readonly #options: WriterOptions
  readonly #dice: Random
  #running: Promise<void> = Promise.resolve()
  #stopped = false
  #resting = false
  #transactions = 0

  constructor(options: WriterOptions) {
    this.#options = options
    this.#dice = random(options.seed)
  }

  /** Appends the waiting events in one go, so that executors have many deliveries in flight when a fault happens. */
  async backlog(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#append(this.#dice)))
  }

  /** Nine at once, until they are stopped. */
  start(): void {
    const kinds = [
      ...Array(4).fill((dice: Random) => this.#append(dice)),
      ...Array(3).fill((dice: Random) => this.#transaction(dice)),
      ...[1, 2].map((n) => (dice: Random) => this.#insert(dice, `raw ${n}`)),
    ]
    const loops = kinds.map(async (write) => {
      const own = random(this.#dice.int(0, 2 ** 32 - 1))
      while (!this.#stopped) {
        if (!this.#resting) await write(own)
        await delay(own.int(...(this.#options.pauseMs ?? [5, 50])))
      }
    })
    this.#running = Promise.all(loops).then(() => {})
    this.#running.catch(() => {}) // told by stop()
  }

  /** Pauses the writers, until they are told to continue. */
  rest(): void {
    this.#resting = true
  }

  work(): void {
    this.#resting = false
  }

  /** Stops the writers; rejects if one of them got a wrong answer. */
  stop(): Promise<void> {
    this.#stopped = true
    return this.#running
  }

  #attempt(what: string, events: readonly NewEvent[], transaction?: number): Attempt {
    return this.#options.begin(
      what,
      events.map(({ id }) => id!),
      transaction,
    )
  }

  #events(dice: Random): NewEvent[] {
    const size = this.#options.bytes?.(dice) ?? 0
    const data = () =>
      size > 0
        ? {
            pad: dice
              .int(0, 2 ** 30)
              .toString(36)
              .repeat(size / 6),
          }
        : {}
    return Array.from({ length: dice.int(1, 3) }, () => ({ id: uuid(dice), type: 'Happened', data: data() }))
  }

  #stream(dice: Random) {
    return { category: dice.pick(this.#options.categories), streamId: `${dice.int(1, STREAMS)}` }
  }

  /** Appends of the library, which share transactions; if the outcome is unknown, they are mostly tried again with the same ids. */
  async #append(dice: Random): Promise<void> {
    const { meow } = this.#options
    const events = [this.#events(dice), this.#events(dice)]
    const several = dice.chance(0.2)
    const ofAll = several ? events.flat() : events[0]!
    const attempt = this.#attempt(several ? 'appendAll' : 'append', ofAll)
    const streams = [this.#stream(dice), this.#stream(dice)]
    // At most the version of the stream, so that a first attempt that arrives late can't match it.
    const options = dice.chance(0.1) ? { expectedVersion: 'no-stream' as const } : {}
    const again = dice.chance(0.7)
    const write = () =>
      several
        ? meow.appendAll(streams.map((stream, i) => ({ stream, events: events[i]! })))
        : meow.append(streams[0]!, events[0]!, options).then((result) => [result])
    await this.#told(attempt, write, again)
    if (attempt.outcome === 'done' && dice.chance(0.1))
      await this.#told(this.#attempt('again', ofAll), write, true)
  }

  async #told(attempt: Attempt, write: () => Promise<AppendResult[]>, again: boolean): Promise<void> {
    const repeated = attempt.what === 'again'
    for (;;) {
      try {
        attempt.answer = await write()
        attempt.outcome = 'done'
        return
      } catch (error) {
        const { code } = error as { code?: string }
        if (code === 'ERR_OUTCOME_UNKNOWN' || repeated) attempt.outcome = 'unknown'
        else if (code === 'ERR_VERSION_CONFLICT') {
          attempt.conflict = error as VersionConflictError
          attempt.outcome = 'refused'
        } else if (!isRefusal(error)) throw error
        else if (attempt.outcome === 'open') attempt.outcome = 'refused'
        if (repeated || attempt.outcome !== 'unknown' || !again || this.#stopped) return
        await delay(50)
      }
    }
  }

  /** A transaction of its own: appends early and late, savepoints, naps; some are rolled back. */
  async #transaction(dice: Random): Promise<void> {
    const { meow, schema } = this.#options
    const nap = () => delay(dice.chance(0.1) ? dice.int(500, 1_500) : dice.int(0, 100))
    await this.#inTransaction(dice, async (client, kept) => {
      const transaction = ++this.#transactions
      const append = async () => {
        const [stream, events] = [this.#stream(dice), this.#events(dice)]
        const attempt = this.#attempt('append in a transaction', events, transaction)
        kept.push(attempt)
        if (dice.chance(0.7)) await meow.append(stream, events, { client })
        else
          await client.query(`select from ${schema}.append($1, $2, $3)`, [
            stream.category,
            stream.streamId,
            JSON.stringify(events),
          ])
        return attempt
      }
      if (dice.chance(0.3)) await client.query('select pg_current_xact_id()')
      for (let step = dice.int(1, 3); step > 0; step--) {
        if (dice.chance(0.4)) await nap()
        if (dice.chance(0.4)) {
          await client.query('savepoint a')
          const attempt = await append()
          if (dice.chance(0.3)) await nap()
          if (dice.chance(0.5)) {
            await client.query('rollback to a')
            attempt.outcome = 'refused'
          }
          if (dice.chance(0.5)) await client.query('release a')
        } else await append()
      }
      if (dice.chance(0.5)) await nap()
    })
  }

  /** Plain statements without the append function, to streams of their own. */
  async #insert(dice: Random, name: string): Promise<void> {
    const { schema, categories } = this.#options
    await this.#inTransaction(dice, async (client, kept) => {
      const transaction = ++this.#transactions
      for (let step = dice.int(1, 3); step > 0; step--) {
        const stream = [dice.pick(categories), `${name} ${dice.int(0, 3)}`]
        const { rows } = await client.query(
          `select coalesce(max(version), -1) + 1 as next from ${schema}.events where category = $1 and stream_id = $2`,
          stream,
        )
        const events = this.#events(dice)
        kept.push(this.#attempt('insert', events, transaction))
        const values = events.map(
          ({ id, type, data }, i) =>
            `('${id}', $1, $2, ${rows[0].next + i}, '${type}', '${JSON.stringify(data)}')`,
        )
        await client.query(
          `insert into ${schema}.events (id, category, stream_id, version, type, data) values ${values}`,
          stream,
        )
        if (dice.chance(0.3)) await delay(dice.chance(0.1) ? dice.int(500, 1_500) : dice.int(0, 100))
      }
    })
  }

  async #inTransaction(
    dice: Random,
    body: (client: pg.Client, kept: Attempt[]) => Promise<void>,
  ): Promise<void> {
    const { url, queryTimeoutMs } = this.#options
    const client = new pg.Client({
      connectionString: url,
      application_name: 'writer',
      query_timeout: queryTimeoutMs,
      connectionTimeoutMillis: queryTimeoutMs,
    })
    client.on('error', () => {})
    const kept: Attempt[] = []
    let committing = false
    const settle = (outcome: Attempt['outcome']) => {
      for (const attempt of kept) if (attempt.outcome === 'open') attempt.outcome = outcome
    }
    try {
      await client.connect()
      await client.query('begin')
      await body(client, kept)
      if (dice.chance(0.8)) {
        committing = true
        await client.query('commit')
        settle('done')
      } else {
        await client.query('rollback')
        settle('refused')
      }
    } catch (error) {
      // An error of the server itself counts as an answer: it refuses. Up to here nothing was committed, or it is unknown.
      settle(!committing || (error as { severity?: string }).severity === 'ERROR' ? 'refused' : 'unknown')
    } finally {
      // Destroys the connection, because a clean end might wait for long.
      ;(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
    }
  }
}

function uuid(dice: Random): string {
  const hex = Array.from({ length: 4 }, () =>
    dice
      .int(0, 2 ** 32 - 1)
      .toString(16)
      .padStart(8, '0'),
  ).join('')
  return hex.replace(/(.{8})(.{4}).(.{3}).(.{3})(.{12})/, '$1-$2-4$3-8$4-$5')
}
