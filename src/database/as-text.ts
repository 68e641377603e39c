// Runs statements on clients of other libraries. Each handles types differently: one parses JSON and serializes text as JSON,
// one returns bigint as text and another as bigint. So all parameters are sent as text, which the server casts, and all columns
// come back as the text that the server would send to pg.

import { ValidationError } from '../core/errors.ts'
import { Pieces } from '../core/pieces.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { withTimeout } from '../core/timeout.ts'
import type { Row } from './bounded-rows.ts'
import { QUERY_TIMEOUT } from './failures.ts'
import type { Statement } from './statement.ts'

/** The text of a statement, without its comments, that takes and returns only text: `c1`, `c2` … are its columns. */
export function asText({
  text,
  parameters,
  columns,
}: Pick<Statement, 'text' | 'parameters' | 'columns'>): string {
  const types = split(parameters).map((one) => one.slice(one.indexOf(' ') + 1).replaceAll('?', ''))
  const cast = text
    .replaceAll(/--.*/g, '') // a library may look for parameters in comments
    .replaceAll(/\$(\d+)/g, (parameter, n) => `${parameter}::text::${types[n - 1]}`)
    .trim()
  if (columns === '') return cast
  const names = split(columns).map((_, i) => `c${i + 1}`)
  // Unlike a cast to text, format() prints any value as the server sends it; it turns null into ''.
  const texts = split(columns).map((column, i) => {
    const printed = `pg_catalog.format('%s', ${names[i]})`
    return `${column.endsWith('?') ? `case when ${names[i]} is not null then ${printed} end` : printed} as ${names[i]}`
  })
  return `select ${texts.join(', ')} from (${cast}) as statement (${names.join(', ')})`
}

/** Runs a text that `asText` has made. Rejects if it takes longer than `timeoutMs`; only its library can end it then. */
export async function runAsText(
  client: SqlClient,
  text: string,
  values: readonly unknown[],
  timeoutMs: number,
): Promise<Row[]> {
  const late = () => {
    throw new Error(QUERY_TIMEOUT)
  }
  const answer = await withTimeout(timeoutMs, () => client.query(text, values.map(textOf)), late)
  if (!Array.isArray(answer?.rows))
    throw new ValidationError(
      'options.client',
      'must have a method query(text, values) that resolves with { rows }, as clients of pg have and the functions of meowmx/adapters make',
      answer,
    )
  return answer.rows.map((row) => Object.keys(row).map((_, i) => columnOf(row[`c${i + 1}`])))
}

const split = (list: string): string[] => (list === '' ? [] : list.split(', '))

const columnOf = (value: unknown): string | null =>
  value === null || value === undefined ? null : String(value)

/** A value in the form in which PostgreSQL reads it. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (value instanceof Pieces) return value.toPostgres()
  return Array.isArray(value) ? `{${value.map(itemOf).join(',')}}` : String(value)
}

const itemOf = (item: unknown): string =>
  item === null || item === undefined ? 'NULL' : `"${String(item).replaceAll(/["\\]/g, '\\$&')}"`
