// The addresses of a feed (src/http/address.ts reads them).
import { RemoteError } from './remote-error.ts'

/** Selects events by category, stream or type, as the selector of a store does. `{}` selects every event. */
export interface RemoteSelector {
  /** The name of a category, or of several. */
  category?: string | readonly string[]
  /** Only events of these types. */
  types?: readonly string[]
  /** Only events that carry all of these tags. */
  tags?: readonly string[]
  /** Only this stream. Requires exactly one category. */
  streamId?: string
}

/** Where to begin: at the first event, at the end as it is now, after a position, or at a moment. */
export type RemoteFrom = 'start' | 'end' | { after: number } | { since: Date | string }

const KEYS = ['category', 'types', 'tags', 'streamId']

/** The path of a selector below the address of the feed, and its query. */
export function pathOf(selector: RemoteSelector): { path: string; query: Record<string, string> } {
  for (const [key, value] of Object.entries(selector))
    if (!KEYS.includes(key) || value === undefined)
      throw invalid(
        `selector.${key} ${value === undefined ? 'must have a value or be left out' : 'is not an option'}`,
      )
  const { category, types, tags, streamId } = selector
  const query = { ...list('types', types), ...list('tags', tags) }
  if (category === undefined) {
    if (streamId !== undefined) throw invalid('selector.streamId needs exactly one category')
    return { path: 'all', query }
  }
  const names = typeof category === 'string' ? [category] : category
  const encoded = names.map((name) => segment('selector.category', name))
  if (encoded.length === 0) throw invalid('selector.category must not be empty')
  if (streamId === undefined) return { path: `category/${encoded.join(',')}`, query }
  if (encoded.length !== 1) throw invalid('selector.streamId needs exactly one category')
  return { path: `stream/${encoded[0]}/${segment('selector.streamId', streamId)}`, query }
}

function list(name: string, values: readonly string[] | undefined): Record<string, string> {
  if (values === undefined) return {}
  if (!Array.isArray(values) || values.length === 0)
    throw invalid(`selector.${name} must be names, not empty`)
  return { [name]: values.map((value) => encoded(`selector.${name}`, value)).join(',') }
}

/** A name as a part of a path. */
export function segment(what: string, name: string): string {
  if (name === '.' || name === '..') throw invalid(`${what} must not be ${name}, which no address can hold`)
  return encoded(what, name)
}

function encoded(what: string, name: string): string {
  if (typeof name !== 'string' || name === '')
    throw invalid(`${what} must be text, not empty, got ${String(name)}`)
  try {
    return encodeURIComponent(name)
  } catch {
    throw invalid(`${what} must not contain a lone surrogate`)
  }
}

/** The parameter that says where to begin. */
export function beginning(from: RemoteFrom): Record<string, string> {
  if (from === 'start') return { offset: '-1' }
  if (from === 'end') return { offset: 'now' }
  if (typeof from === 'object' && from !== null) {
    if ('after' in from && Number.isSafeInteger(from.after) && from.after >= 0)
      return { offset: String(from.after).padStart(16, '0') }
    if ('since' in from && !Number.isNaN(new Date(from.since).getTime()))
      return { since: new Date(from.since).toISOString() }
  }
  throw invalid(`options.from must be 'start', 'end', { after: position } or { since: a Date }`)
}

export const invalid = (message: string) => new RemoteError('ERR_REMOTE_INPUT', message)
