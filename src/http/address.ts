// What an address selects: `…/all`, `…/category/order`, `…/stream/order/42`, with `?types=a,b` and `?tags=a,b`.
import type { Selection, Selector } from '../events/selector.ts'
import { select } from '../events/selector.ts'
import { only } from './offset.ts'
import { Problem } from './problem.ts'

/** A selector that came by an address: its categories are names. */
export type FeedSelector = Selector<string>

export interface Address {
  readonly selector: FeedSelector
  readonly selection: Selection
}

/**
 * Reads the address of a feed below `path`. Names are percent-encoded. Lists are separated by commas; a comma that is part of a
 * name is encoded (in the query twice, because the query as a whole is encoded as well).
 *
 * @throws Problem 404 if there is no such kind of feed, 400 if a name is malformed
 * @throws ValidationError if the selector is invalid
 */
export function addressOf(url: URL, path: string): Address {
  const [kind, ...rest] = segmentsBelow(url, path)
  const selector: FeedSelector = {
    ...categoryOf(kind, rest),
    ...listOf(url, 'types'),
    ...listOf(url, 'tags'),
  }
  // A selector that does not know tags refuses them.
  const selection = select(selector)
  const { categories } = selection // without duplicates: one name, given twice, is one name
  const category = categories.length > 1 ? categories : categories[0]
  return { selector: Object.freeze(category === undefined ? selector : { ...selector, category }), selection }
}

/** The segments of the address below `path`, still encoded. @throws Problem 404 if it is not below it */
export function segmentsBelow(url: URL, path: string): string[] {
  const base = path === '/' ? '' : path
  if (!url.pathname.startsWith(`${base}/`)) throw nothingHere()
  return url.pathname.slice(base.length + 1).split('/')
}

export const nothingHere = () => new Problem(404, 'there is no feed at this address')

function categoryOf(kind: string | undefined, rest: readonly string[]): FeedSelector {
  const [category] = rest
  if (kind === 'all' && rest.length === 0) return {}
  if (kind === 'category' && rest.length === 1 && category) {
    const names = category.split(',').map((name) => decoded(name, 'category'))
    return { category: names.length === 1 ? names[0]! : names }
  }
  // Some proxies decode %2F: then the rest of the path is the id.
  if (kind === 'stream' && rest.length >= 2 && category)
    return { category: decoded(category, 'category'), streamId: decoded(rest.slice(1).join('/'), 'streamId') }
  throw nothingHere()
}

function listOf(url: URL, name: 'types' | 'tags'): Pick<FeedSelector, 'types'> {
  const list = only(url.searchParams, name)
  if (list === null) return {}
  return { [name]: list.split(',').map((one) => decoded(one, name)) } as Pick<FeedSelector, 'types'>
}

/** A name of an address. @throws Problem if it is not percent-encoded text */
export function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Problem(400, `${what} is not percent-encoded UTF-8`)
  }
}
