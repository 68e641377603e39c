import type pg from 'pg'
import type { Queries, Row, Statement } from '../database.ts'
import type { Page } from './page.ts'
import { firstAbove, LazyPage, made, NONE, pageColumns, positionOf, withCategory } from './page.ts'
import type { Selection } from './selector.ts'

/**
 * Values in subqueries, where the planner does not see them, so that it makes one plan whatever they are. Told that a page
 * is larger than what it expects to find, it would fetch all by a bitmap and sort it; so it walks an index in order, and
 * stops where the page is full.
 */
const hidden = (n: number, type: string) => `(select $${n}::${type})`
const LIMIT = hidden(3, 'bigint')
/** Above this many categories, one walk through the store is read instead of a merge of each category's index. */
const MAX_MERGED = 8
/** Positions that one query walks at most where it may find nothing: it has to end in time, in a store of any size. */
const MAX_WALK = 100_000

/** Reads pages of one selection. The only query that is put together in code: its shape depends on the selection. */
export class PageReader {
  readonly #db: Queries
  readonly #selection: Selection
  readonly #forward: Statement
  readonly #backward: Statement
  /** The category, where there is just one. */
  readonly #only: string | undefined

  constructor(db: Queries, selection: Selection) {
    this.#db = db
    this.#selection = selection
    if (selection.categories.length === 1) this.#only = selection.categories[0]
    this.#forward = db.statement(pageQuery(selection, 'forward'))
    this.#backward = db.statement(pageQuery(selection, 'backward'))
  }

  /**
   * The events above `after` up to `until`, at most `limit`. `until` must be settled: at or below a horizon. The page
   * may end early, even empty, with a position below `until`: read on from there.
   */
  async forward(after: number, until: number, limit: number, client?: pg.ClientBase): Promise<Page> {
    const end = this.#end(after, until)
    const rows = after >= end ? [] : await this.#query(this.#forward, after, end, limit, client)
    const position = rows.length === limit ? positionOf(rows.at(-1)!) : end
    return new LazyPage(rows, after, position, this.#only)
  }

  /** The same, each event as the texts of its columns: who copies events must not have their numbers rounded. */
  async rows(after: number, until: number, limit: number): Promise<{ rows: Row[]; position: number }> {
    const end = this.#end(after, until)
    const rows = after >= end ? [] : await this.#query(this.#forward, after, end, limit)
    const named = this.#only === undefined ? rows : rows.map((row) => withCategory(row, this.#only!))
    return { rows: named, position: rows.length === limit ? positionOf(rows.at(-1)!) : end }
  }

  /** A page that is read before its horizon is known, in a later snapshot than the horizon's: cut it there. */
  async behind(after: number, limit: number, client?: pg.ClientBase): Promise<(horizon: number) => Page> {
    const end = this.#sparse ? after + MAX_WALK : Number.MAX_SAFE_INTEGER
    const { events, hashes } = after < 0 ? NONE : await this.#read(this.#forward, after, end, limit, client)
    return (horizon) => {
      const settled = firstAbove(events, horizon)
      const position = settled === limit ? events.at(-1)!.position : Math.min(end, horizon)
      return { events: events.slice(0, settled), hashes: hashes.slice(0, settled), after, position }
    }
  }

  /** The events of `forward`, newest first; `position` is the `until` with which to read on, down to `after`. */
  async backward(after: number, until: number, limit: number, client?: pg.ClientBase): Promise<Page> {
    const start = this.#sparse ? Math.max(after, until - MAX_WALK) : after
    const rows = await this.#read(this.#backward, start, until, limit, client)
    return {
      ...rows,
      after,
      position: rows.events.length === limit ? rows.events.at(-1)!.position - 1 : start,
    }
  }

  #end(after: number, until: number): number {
    return this.#sparse ? Math.min(until, after + MAX_WALK) : until
  }

  get #sparse(): boolean {
    const { types, categories } = this.#selection
    return types !== null || categories.length > MAX_MERGED
  }

  async #read(statement: Statement, after: number, until: number, limit: number, client?: pg.ClientBase) {
    if (after >= until) return NONE
    return made(await this.#query(statement, after, until, limit, client), this.#only)
  }

  #query(
    statement: Statement,
    after: number,
    until: number,
    limit: number,
    client?: pg.ClientBase,
  ): Promise<Row[]> {
    const { categories, types, streamId } = this.#selection
    const scope =
      categories.length === 0
        ? []
        : categories.length > MAX_MERGED
          ? [categories]
          : streamId === null
            ? categories
            : [categories[0], streamId]
    return this.#db.query(statement, [after, until, limit, ...(types ? [types] : []), ...scope], client)
  }
}

/** The query of a selection; exported for the test of its plan. Parameters: after, until, limit, types?, categories. */
export function pageQuery(
  { categories, types, streamId }: Selection,
  direction: 'forward' | 'backward',
): string {
  const order = direction === 'forward' ? '' : ' desc'
  const first = types ? 5 : 4
  const ofTypes = types ? ` and type = any (${hidden(4, 'text[]')}::text[])` : ''
  const range = `position > ${hidden(1, 'bigint')} and position <= ${hidden(2, 'bigint')}${ofTypes}`
  const from = `select ${categories.length === 1 ? pageColumns('null') : pageColumns()} from meowmx.events where`
  if (categories.length === 0) return `${from} ${range} order by position${order} limit ${LIMIT}`
  if (streamId !== null)
    return `${from} ${streamRange(first)}${ofTypes} order by version${order} limit ${LIMIT}`
  if (categories.length > MAX_MERGED)
    return `${from} ${range} and category = any ($${first}) order by position${order} limit ${LIMIT}`
  if (categories.length === 1)
    return `${from} ${range} and ${oneCategory(first)} order by position${order} limit ${LIMIT}`
  // A merge of each category's own order: no sort, and nothing read beyond the limit.
  const branches = categories.map(
    (_, i) =>
      `(select * from meowmx.events where ${range} and ${oneCategory(first + i)} order by position${order} limit ${LIMIT})`,
  )
  return `select ${pageColumns()} from (${branches.join(' union all ')}) as merged order by position${order} limit ${LIMIT}`
}

/**
 * The same three times: the planner takes each category for a common one, and would walk the whole store in search of a
 * rare one. Told so, it expects few, and takes the index of the category.
 */
function oneCategory(n: number): string {
  const name = hidden(n, 'text')
  return `category = ${name} and category >= ${name} and category <= ${name}`
}

/**
 * Inside a stream positions and versions have one order, and only versions are indexed: find those between which to read.
 * Reading on, either way, `after` or the position above `until` mostly is an event of this stream; else `after` mostly is
 * before its first, or near its end, from which it is probed backward. `+ 0` keeps the planner from taking the index of
 * positions, where it expects few, and sorting what it finds.
 */
function streamRange(first: number): string {
  const category = `category = $${first}`
  const streamId = `stream_id = $${first + 1}`
  const find = (what: string, where: string) =>
    `(select ${what} from meowmx.events e where e.${category} and e.${streamId} and ${where})`
  return `${category} and ${streamId} and version > coalesce(
    ${find('e.version', 'e.position = $1')},
    ${find('-1', 'e.version = 0 and e.position + 0 > $1')},
    ${find('e.version', 'e.position + 0 <= $1 order by e.version desc limit 1')},
    -1) and version <= coalesce(
    ${find('e.version - 1', 'e.position = $2::bigint + 1')},
    2147483647) and position + 0 <= $2`
}
