// A schema that is filled by plain SQL, and what every reader has to make of its rows.
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import * as assert from 'uvu/assert'
import { jsonText } from '../../src/core/json-text.ts'
import type { RecordedEvent } from '../../src/index.ts'
import type { Edges, Raw } from './raw-rows.ts'
import { chosenEdges, deep, random } from './raw-rows.ts'

/** Inserts rows by plain SQL, as `client` may, and keeps count of the versions. */
export class RawStore {
  readonly schema: string
  readonly #versions = new Map<string, number>()

  constructor(schema: string) {
    this.schema = schema
  }

  /** The next row of its stream, ordinary but for `edges`; `bad`: the error if it is refused. */
  row(edges: Edges): { row: Raw; bad: RegExp | undefined } {
    const text = (key: keyof Raw, usual: string) => edges[key]?.text ?? usual
    const [category, streamId] = [text('category', 'raw'), text('streamId', 's')]
    const row = {
      id: text('id', randomUUID()),
      category,
      streamId,
      version: this.#versions.get(`${category}/${streamId}`) ?? 0,
      type: text('type', 'T'),
      data: text('data', '{"n":1}'),
      metadata: text('metadata', '{}'),
      recordedAt: text('recordedAt', '2026-01-01T00:00:00.000Z'),
    }
    return { row, bad: Object.values(edges).find((edge) => edge?.bad)?.bad }
  }

  /** The rows of one statement: that of `edges`, sometimes after an ordinary one. */
  batch(edges: Edges): { batch: Raw[]; bad: RegExp | undefined } {
    const { row, bad } = this.row(edges)
    const before = () => this.row({ streamId: { text: `before ${row.id}` } }).row
    return { batch: random.chance(0.3) ? [before(), row] : [row], bad }
  }

  async insert(client: pg.Client, rows: readonly Raw[]): Promise<void> {
    const columns = (key: keyof Raw) => rows.map((row) => row[key])
    await client.query(
      `insert into ${this.schema}.events (id, category, stream_id, version, type, data, metadata, recorded_at)
       select id, category, stream_id, version, type, data::json, metadata::json, recorded_at::timestamptz
       from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[])
         as e (id, category, stream_id, version, type, data, metadata, recorded_at)`,
      (['id', 'category', 'streamId', 'version', 'type', 'data', 'metadata', 'recordedAt'] as const).map(
        columns,
      ),
    )
    for (const { category, streamId, version } of rows)
      this.#versions.set(`${category}/${streamId}`, version + 1)
  }

  /** Inserts all edges that are not refused, and returns the rows. */
  async fill(client: pg.Client): Promise<Raw[]> {
    const all: Raw[] = []
    for (const edges of [...chosenEdges(), {}]) {
      const { batch, bad } = this.batch(edges)
      if (bad) continue
      await this.insert(client, batch)
      all.push(...batch)
    }
    return all
  }

  /** Inserts rows that only an owner may insert, to restore a store, and returns how they have to be read. */
  async restore(owner: pg.Client): Promise<Seen[]> {
    const times = [
      'infinity',
      '-infinity',
      '294276-12-31 23:59:59+00',
      '4713-01-01 00:00+00 BC',
      '9999-12-31 23:59:59.9996+00',
    ]
    const metadatas = ['null', '[1]', '"\\ud800"', '1e400', deep(6_000).slice(5, -1)]
    const restored: Seen[] = []
    await owner.query(`begin; set local meowmx.maintenance = 'on'`)
    for (const edges of [
      ...times.map((text) => ({ recordedAt: { text } })),
      ...metadatas.map((text) => ({ metadata: { text } })),
    ]) {
      const { row } = this.row({ ...edges, streamId: { text: 'restored' } })
      await this.insert(owner, [row])
      const [{ at }] = (
        await owner.query(
          `select case when isfinite($1::timestamptz) then extract(epoch from $1::timestamptz) * 1000 else $2 end::float8 as at`,
          [row.recordedAt, row.recordedAt.startsWith('-') ? -8.64e15 : 8.64e15],
        )
      ).rows
      const metadata = row.metadata.startsWith('{') ? row.metadata : '{}'
      restored.push({
        ...expected({ ...row, metadata, recordedAt: '2026-01-01T00:00:00.000Z' }),
        at: Math.min(Math.round(at), 8.64e15),
      })
    }
    await owner.query('commit')
    return restored
  }
}

/** An event as every reader has to see it; data and metadata are one text each. */
export interface Seen {
  id: string
  stream: string
  type: string
  data: string
  metadata: string
  at: number
}
export const seen = ({
  id,
  category,
  streamId,
  version,
  type,
  data,
  metadata,
  recordedAt,
}: RecordedEvent): Seen => ({
  id,
  stream: `${category}/${streamId}@${version}`,
  type,
  data: jsonText(data),
  metadata: jsonText(metadata),
  at: new Date(recordedAt).getTime(),
})
/** How a row has to be read. */
export const expected = (row: Raw): Seen =>
  seen({
    ...row,
    position: 0,
    tags: [],
    data: JSON.parse(row.data),
    metadata: JSON.parse(row.metadata),
    recordedAt: new Date(row.recordedAt),
  })

/** Fails unless the events that `what` read are these, in this order; in any order if `sorted`. */
export function same(
  events: readonly RecordedEvent[],
  rows: readonly Seen[],
  what: string,
  sorted = false,
): void {
  const all = events.map(seen)
  const order = (list: readonly Seen[]) => (sorted ? list.toSorted((a, b) => (a.id < b.id ? -1 : 1)) : list)
  const [got, want] = [order(all), order(rows)]
  assert.is(got.length, want.length, `${what}: how many`)
  for (const [i, one] of want.entries()) assert.equal(got[i], one, what)
}
