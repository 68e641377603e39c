// A run: bookers, writers without a condition, raw INSERTs and callers' transactions at work on the same few tags, from several stores,
// while connections are killed and the server is restarted. What they write says what they had seen.

import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import type { Meow } from '../../src/index.ts'
import { ConditionFailedError, connect, OutcomeUnknownError } from '../../src/index.ts'
import type { Logged } from './check.ts'

export interface RunOptions {
  readonly connectionString: string
  readonly schema: string
  readonly ms: number
  /** After that time it continues, up to ten times as long, until at least this many were booked and refused. */
  readonly enough?: { readonly booked: number; readonly refused: number }
  /** A number from 0 to 1, again and again: the same seed, the same choices. */
  readonly random: () => number
  /** Kill connections now and then. */
  readonly kills?: boolean
  /** Called half-way: restarts the server. */
  restart?(): Promise<void>
  /** Ends the run early. */
  readonly isOver?: () => Promise<boolean>
}

/** What a run came to. */
export interface Ran {
  readonly booked: number
  readonly refused: number
  readonly lost: number
  /** Errors that no caller should get. */
  readonly errors: readonly unknown[]
}

const STORES = 5
const BOOKERS = 14
const WRITERS = 4
/** After this time new names are used for courses and students, so that queries stay short. In ms. */
const LIFE_MS = 500

export async function run(options: RunOptions): Promise<Ran> {
  const { connectionString, schema, random } = options
  const stores: Meow[] = []
  for (let i = 0; i < STORES; i++)
    stores.push(
      await connect({ connectionString, schema, listen: false, maxConnections: 6, logger: false as never }),
    )
  const pool = new pg.Pool({ connectionString, max: BOOKERS + WRITERS + 4 })
  for (const event of ['error', 'connect'] as const)
    pool.on(event as 'connect', (client) => client?.on?.('error', () => {}))
  const start = Date.now()
  const isRunning = () => {
    const took = Date.now() - start
    if (isOver || took > 10 * options.ms) return false
    const { booked: wanted, refused: wantedRefused } = options.enough ?? { booked: 0, refused: 0 }
    return took < options.ms || booked < wanted || refused < wantedRefused
  }
  let [booked, refused, lost, calls] = [0, 0, 0, 0]
  let isOver = false
  let isRestarting = false
  const errors: unknown[] = []
  const upTo = (n: number) => Math.floor(random() * n)
  const era = () => Math.floor(Date.now() / LIFE_MS)
  const course = () => `course:${era()}:${upTo(3)}`
  const student = () => `student:${era()}:${upTo(5)}`
  const stream = () => ({ category: `c${upTo(3)}`, streamId: `${era()}-${upTo(40)}` })
  const store = () => stores[upTo(STORES)]!
  const sleep = () => (random() < 0.5 ? undefined : pause(upTo(8)))

  /** A transaction of a caller, with savepoints: commits or rolls back. */
  async function transaction(body: (client: pg.ClientBase) => Promise<void>): Promise<void> {
    const client = await pool.connect()
    try {
      await client.query('begin')
      await client.query('savepoint one')
      if (random() < 0.5) {
        await store().append(stream(), { type: 'Note', data: {}, tags: [course()] }, { client })
        if (random() < 0.7) await client.query('rollback to savepoint one')
      }
      await body(client)
      await sleep()
      await client.query(random() < 0.8 ? 'commit' : 'rollback')
      client.release()
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  async function book(): Promise<void> {
    const meow = store()
    const [c, s] = [course(), student()]
    const either: any = [{ tags: [c], types: ['Booked', 'Note'] }, { tags: [s] }]
    const items = random() < 0.7 ? either : [{ tags: [c, s] }]
    const call = `b${++calls}`
    const append = async (client?: pg.ClientBase) => {
      const { events, seen } = await meow.query(items, client ? { client } : {})
      await sleep()
      const condition = { items, saw: events.map(({ position }) => position) }
      const event = { type: 'Booked', data: { call, condition }, tags: [c, s] }
      const given = { failIf: { query: items, after: seen }, ...(client ? { client } : {}) }
      if (random() < 0.3)
        await meow.appendAll(
          [
            { stream: stream(), events: event },
            { stream: stream(), events: { type: 'Note', data: { call }, tags: [s] } },
          ],
          given,
        )
      else await meow.append(stream(), event, given)
    }
    await (random() < 0.3 ? transaction(append) : append())
    booked++
  }

  async function write(): Promise<void> {
    const event = { type: random() < 0.5 ? 'Booked' : 'Note', data: {}, tags: [course(), student()] }
    const kind = random()
    if (kind < 0.5) await store().append(stream(), event)
    else if (kind < 0.8)
      await transaction(async (client) => void (await store().append(stream(), event, { client })))
    else
      await pool.query(
        `insert into "${schema}".events (version, category, stream_id, type, data) values (0, 'raw', $1, 'Raw', '{}')`,
        [`${++calls}`],
      )
    await sleep()
  }

  /** What may happen to a caller while connections are killed and the server restarts, or when transactions deadlock. */
  const isExpected = (error: any): boolean =>
    error instanceof ConditionFailedError ||
    error.code === 'ERR_TAG_DEADLOCK' ||
    error.code === '40P01' ||
    ((options.kills || isRestarting || options.restart !== undefined) &&
      (error instanceof OutcomeUnknownError ||
        /ERR_CONNECTION|ERR_TIMEOUT|^57P|^08|ECONN/.test(error.code ?? '') ||
        /[Cc]onnection|not queryable|timeout/.test(error.message)))

  async function loop(work: () => Promise<void>): Promise<void> {
    while (isRunning()) {
      try {
        await work()
      } catch (error) {
        if (error instanceof ConditionFailedError) refused++
        else if (isExpected(error)) {
          lost++
          await pause(20)
        } else errors.push(error)
      }
    }
  }

  async function kill(): Promise<void> {
    await pause(200 + upTo(400))
    await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name = $1 and pid <> pg_backend_pid() order by random() limit 1`,
      [`meowmx ${schema}`],
    )
  }
  const watch = async () => {
    while (options.isOver && isRunning()) {
      await pause(500)
      isOver = await options.isOver()
    }
  }
  const restart = async () => {
    if (!options.restart) return
    await pause(options.ms / 2)
    isRestarting = true
    await options.restart()
  }
  await Promise.all([
    ...Array.from({ length: BOOKERS }, () => loop(book)),
    ...Array.from({ length: WRITERS }, () => loop(write)),
    ...(options.kills ? [loop(kill)] : []),
    watch(),
    restart(),
  ])
  await Promise.all(stores.map((meow) => meow.close()))
  await pool.end()
  return { booked, refused, lost, errors }
}

/** Everything that was written, read from the tables. */
export async function logOf(connectionString: string, schema: string): Promise<Logged[]> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const { rows } = await client.query(
      `select e.position, e.type, e.data, coalesce("${schema}".tags_of(e.metadata), '{}') as tags
       from "${schema}".events e order by e.position`,
    )
    return rows.map(({ position, type, data, tags }) => ({
      position: Number(position),
      type,
      tags,
      call: data.call ?? `p${position}`,
      ...(data.condition ? { condition: data.condition } : {}),
    }))
  } finally {
    await client.end()
  }
}
