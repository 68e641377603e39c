import type { SqlClient } from '../core/sql-client.ts'
import type { Queries } from '../database/database.ts'
import type { Statement } from '../database/statement.ts'
import { query } from '../database/statement.ts'
import { COMPRESSION, eventBytes, ownColumns } from '../events/event.ts'
import type { Selection } from '../events/selector.ts'
import type { PageBound } from './budget.ts'
import { PAGE_SHARE, pagesOf } from './budget.ts'
import type { Page, PageRow } from './page.ts'
import { firstAbove, LazyPage, pageColumns, positionOf, slicePage } from './page.ts'

/**
 * The values are in subqueries, so that the planner does not see them and makes one plan for all values. If it knew that a page
 * is larger than what it expects to find, it would fetch everything by a bitmap and sort it. So it reads an index in order, and
 * stops when the page is full.
 */
const hidden = (n: number, type: string) => `(select $${n}::${type})`
const LIMIT = hidden(3, 'bigint')
/** Above this number of categories, one scan of the store replaces a merge of each category's index. */
const MAX_MERGED = 8
/** How many positions one query may pass if it finds nothing, so that it ends in time in a store of any size. */
const MAX_WALK = 100_000

/** The columns of an event that is found by its tags. With the position of the tag, rows are known to be in order. */
const OF_TAGGED = ownColumns.replaceAll(/\w+/g, (column) =>
  column === 'position' ? 't.position' : `e.${column}`,
)

/** The direction in which a page is read. */
type Direction = 'forward' | 'backward'

/**
 * Reads pages of one selection, as large as `bound` allows. The only query that is put together in code: its shape depends on
 * the selection.
 *
 *     the last page was small   -> the plain query
 *     it was not, or unknown    -> the query that adds up the sizes of the rows, and ends when they are too large
 *
 * Adding up makes a page of small events slower. A page that is larger than expected does no harm: rows beyond the bound are
 * dropped as they arrive, and read again later.
 */
export class PageReader {
  readonly #db: Queries
  readonly #selection: Selection
  readonly #bound: PageBound
  /** The values that are the same for each page. */
  readonly #values: Readonly<Record<string, unknown>>
  readonly #statements: PageStatements
  /** The category, if there is only one. */
  readonly #only: string | undefined
  /** The average size of an event of the last page, in bytes; undefined if it is not known, or if the last page failed. */
  #eventBytes: number | undefined

  constructor(
    db: Queries,
    selection: Selection,
    bound: PageBound = pagesOf(db.settings.maxBufferedBytes / PAGE_SHARE),
  ) {
    this.#db = db
    this.#selection = selection
    this.#bound = bound
    this.#values = valuesOf(selection)
    this.#statements = pageStatements(selection)
    if (selection.categories.length === 1) this.#only = selection.categories[0]
  }

  /**
   * The events above `after` up to `until`, at most `limit`. `until` must be settled: at or below a horizon. The page
   * may end early, even empty, with a position below `until`: read on from there.
   */
  async forward(after: number, until: number, limit: number, client?: SqlClient): Promise<Page> {
    const end = this.#end(after, until)
    const { rows, isWhole } = await this.#read('forward', after, end, limit, client)
    return new LazyPage(rows, after, isWhole ? end : positionOf(rows.at(-1)!), this.#only)
  }

  /**
   * The same, but each event as the texts of its columns, so that no number is rounded when events are copied. `only` is
   * the category, if there is only one: see `categoryOf`.
   */
  async rows(after: number, until: number, limit: number) {
    const end = this.#end(after, until)
    const { rows, isWhole } = await this.#read('forward', after, end, limit)
    return { rows, only: this.#only, position: isWhole ? end : positionOf(rows.at(-1)!) }
  }

  /**
   * A page that is read before its horizon is known, in a later snapshot than that of the horizon. The caller must cut it at
   * the horizon.
   */
  async fastPath(after: number, limit: number, client?: SqlClient): Promise<(horizon: number) => Page> {
    const end = this.#sparse ? after + MAX_WALK : Number.MAX_SAFE_INTEGER
    const { rows, isWhole } = await this.#read('forward', after, after < 0 ? after : end, limit, client)
    const page = new LazyPage(rows, after, isWhole ? end : positionOf(rows.at(-1)!), this.#only)
    return (horizon) => {
      const settled = firstAbove(page.events, horizon)
      return slicePage(page, 0, settled, { after, position: Math.min(page.position, horizon) })
    }
  }

  /** The events of `forward`, newest first; `position` is the `until` with which to read on, down to `after`. */
  async backward(after: number, until: number, limit: number, client?: SqlClient): Promise<Page> {
    const start = this.#sparse ? Math.max(after, until - MAX_WALK) : after
    const { rows, isWhole } = await this.#read('backward', start, until, limit, client)
    return new LazyPage(rows, after, isWhole ? start : positionOf(rows.at(-1)!) - 1, this.#only)
  }

  #end(after: number, until: number): number {
    return this.#sparse ? Math.min(until, after + MAX_WALK) : until
  }

  get #sparse(): boolean {
    const { types, categories, tags } = this.#selection
    return types !== null || (tags !== null && tags.length > 1) || categories.length > MAX_MERGED
  }

  #read(way: Direction, after: number, until: number, limit: number, client?: SqlClient) {
    if (after >= until) return { rows: [], isWhole: true }
    return this.#bound.page((maxBytes) => this.#query(way, after, until, limit, maxBytes, client))
  }

  /** `isWhole`: there are no more rows up to `until`. */
  async #query(
    way: Direction,
    after: number,
    until: number,
    limit: number,
    maxBytes: number,
    client?: SqlClient,
  ): Promise<{ rows: PageRow[]; isWhole: boolean }> {
    const known = this.#eventBytes
    const isSmall = known !== undefined && 2 * known * limit <= maxBytes
    const most = known === undefined ? limit : Math.min(limit, Math.ceil(maxBytes / known))
    const values = { after, until, limit: most, maxBytes, ...this.#values }
    this.#eventBytes = undefined
    const statement = this.#statements[way][isSmall ? 'plain' : 'bounded']
    const answer = await this.#db.page(statement, values, maxBytes, client)
    const { rows, bytes, isFull } = answer
    this.#eventBytes = answer.rowBytes ?? known
    // The database may have ended the page because of its size. Then another query says whether there is more.
    return { rows, isWhole: rows.length < most && !isFull && COMPRESSION * bytes < maxBytes }
  }
}

/** The values of a selection's query, by name. They follow the first three parameters in this order. */
function valuesOf({ categories, types, streamId, tags }: Selection): Readonly<Record<string, unknown>> {
  const merged = categories.map((category, i) => [`category${i + 1}`, category])
  return {
    ...(types ? { types } : {}),
    ...(categories.length > MAX_MERGED ? { categories } : Object.fromEntries(merged)),
    ...(streamId === null ? {} : { streamId }),
    ...(tags ? { tags } : {}),
  }
}

const PAGE_COLUMNS = 'position, recorded_at, id, version, category?, stream_id, type, data, metadata, hash'
type PageStatement = Statement<string, typeof PAGE_COLUMNS>

type PageStatements = Readonly<Record<Direction, Readonly<Record<'plain' | 'bounded', PageStatement>>>>

/** Selections whose values have the same names have the same statements, so that a store prepares each text once. */
const byParameters = new Map<string, PageStatements>()

/** The statements of a selection's pages. */
export function pageStatements(selection: Selection): PageStatements {
  const values = Object.entries(valuesOf(selection))
  const own = values.map(([name, value]) => `${name} ${Array.isArray(value) ? 'text[]' : 'text'}`)
  const parameters = ['after bigint', 'until bigint', 'limit bigint', ...own].join(', ')
  const made = byParameters.get(parameters)
  if (made) return made
  const of = (way: Direction) => ({
    plain: query('page', pageQuery(selection, way), parameters, PAGE_COLUMNS),
    bounded: query('page', pageQuery(selection, way, true), `${parameters}, maxBytes bigint`, PAGE_COLUMNS),
  })
  const statements = { forward: of('forward'), backward: of('backward') }
  byParameters.set(parameters, statements)
  return statements
}

/**
 * The query of a selection; exported for the test of its plan. Parameters: after, until, limit, types?, categories, and, if it
 * `isBounded`, how many bytes the rows may have together. The first row is always among them.
 */
export function pageQuery(selection: Selection, way: Direction, isBounded = false): string {
  const order = `order by ${selection.streamId === null ? 'position' : 'version'}${way === 'forward' ? '' : ' desc'}`
  const columns = selection.categories.length === 1 ? pageColumns('null') : pageColumns()
  if (!isBounded) return `select ${columns} from ${rowsOf(selection, order)}`
  const bytes = hidden(4 + Object.keys(valuesOf(selection)).length, 'bigint')
  return `select ${columns} from (
    select ${ownColumns}, sum(${eventBytes}) over (${order} rows between unbounded preceding and 1 preceding) as before
    from (select ${ownColumns} from ${rowsOf(selection, order)}) as walk
  ) as page where coalesce(before, 0) < ${bytes} ${order}`
}

/** The FROM clause: the rows of the selection, in order and limited. */
function rowsOf(selection: Selection, order: string): string {
  const { categories, types, streamId, tags } = selection
  const first = types ? 5 : 4
  const ofTypes = types ? ` and type = any (${hidden(4, 'text[]')}::text[])` : ''
  const positions = `position > ${hidden(1, 'bigint')} and position <= ${hidden(2, 'bigint')}`
  const range = `${positions}${ofTypes}`
  const end = `${order} limit ${LIMIT}`
  if (tags) return withTags(selection, order, positions, end)
  if (categories.length === 0) return `meowmx.events where ${range} ${end}`
  if (streamId !== null) return `meowmx.events where ${streamRange(first)}${ofTypes} ${end}`
  if (categories.length > MAX_MERGED)
    return `meowmx.events where ${range} and category = any ($${first}) ${end}`
  if (categories.length === 1) return `meowmx.events where ${range} and ${oneCategory(first)} ${end}`
  // A merge of each category's own order: no sort, and nothing read beyond the limit.
  const branches = categories.map(
    (_, i) => `(select ${ownColumns} from meowmx.events where ${range} and ${oneCategory(first + i)} ${end})`,
  )
  return `(${branches.join(' union all ')}) as merged ${end}`
}

/**
 * Events with tags: the range of the rarest tag, in which each position is looked up with the other tags, and then its event. In one
 * stream, the range of the stream.
 */
function withTags(
  { categories, types, streamId }: Selection,
  order: string,
  range: string,
  end: string,
): string {
  const first = types ? 5 : 4
  const names = streamId !== null || categories.length <= MAX_MERGED ? categories.length : 1
  const tags = `${hidden(first + names + (streamId === null ? 0 : 1), 'text[]')}::text[]`
  const ofTypes = types ? ` and e.type = any (${hidden(4, 'text[]')}::text[])` : ''
  const hasAll = (position: string) =>
    `(select count(*) from meowmx.event_tags o where o.tag = any (${tags}) and o.position = ${position}) = cardinality(${tags})`
  if (streamId !== null)
    return `meowmx.events e where ${streamRange(first)}${ofTypes} and ${hasAll('e.position')} ${end}`
  const many = categories.length > MAX_MERGED
  const list = categories.map((_, i) => `$${first + i}`).join(', ')
  const ofCategories =
    categories.length === 0 ? '' : ` and e.category = any (${many ? `$${first}` : `array[${list}]::text[]`})`
  const rarest = `(select meowmx.rarest(${tags}, $1, $2))`
  return `(
    select ${OF_TAGGED} from (
      select position from meowmx.event_tags where tag = ${rarest} and ${range} ${order}
    ) as t cross join lateral (select * from meowmx.events x where x.position = t.position offset 0) as e
    where (cardinality(${tags}) = 1 or ${hasAll('t.position')})${ofCategories}${ofTypes} ${order.replace('position', 't.position')}
    limit ${LIMIT}
  ) as tagged`
}

/**
 * The condition stands there three times. The planner assumes that each category is a common one, and would walk the whole store
 * in search of a rare one. With three conditions it expects few rows, and takes the index of the category.
 */
function oneCategory(n: number): string {
  const name = hidden(n, 'text')
  return `category = ${name} and category >= ${name} and category <= ${name}`
}

/**
 * Inside a stream, positions and versions have the same order, and only versions are indexed. So this finds the versions between
 * which to read. When a reader continues, `after` or the position above `until` usually is an event of this stream; otherwise
 * `after` usually is below its first one. In all other cases the database halves the range again and again. `+ 0` keeps the
 * planner from taking the index of positions, where it expects few rows, and sorting what it finds.
 */
function streamRange(first: number): string {
  const category = `category = $${first}`
  const streamId = `stream_id = $${first + 1}`
  const find = (what: string, where: string) =>
    `(select ${what} from meowmx.events e where e.${category} and e.${streamId} and ${where})`
  return `${category} and ${streamId} and version > coalesce(
    ${find('e.version', 'e.position = $1')},
    ${find('-1', 'e.version = 0 and e.position + 0 > $1')},
    meowmx.version_at($${first}, $${first + 1}, $1)) and version <= coalesce(
    ${find('e.version - 1', 'e.position = $2::bigint + 1')},
    meowmx.version_at($${first}, $${first + 1}, $2)) and position + 0 <= $2`
}
