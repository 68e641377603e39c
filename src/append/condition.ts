// The condition of an append, `failIf`: checked, before anything is sent.
import { ValidationError } from '../core/errors.ts'
import type { CheckedItem, EventQuery } from '../events/query.ts'
import { checkQuery } from '../events/query.ts'
import type { Seen, SeenPositions } from './seen.ts'
import { readSeen } from './seen.ts'

/** The condition of an append: it fails if there is an event that matches the query and was not seen. */
export interface FailIf {
  query: EventQuery
  /** What `query()` has returned as `seen`. Without it, there must be no such event at all. It must not be `undefined`: leave it out. */
  after?: Seen
}

/** A condition after validation. */
export interface Condition {
  readonly items: readonly CheckedItem[]
  readonly after: SeenPositions
  /** The tags to lock: the first one of each item. */
  readonly locked: readonly string[]
  /** As it was given. */
  readonly given: FailIf
}

/** The key with which the store signs what was seen. */
export type SeenKey = () => Promise<Buffer>

const NOTHING: SeenPositions = { horizon: 0, positions: [] }

/** Checks everything but `after`, for which the store's key is needed. Returns the items of the query. */
export function checkShape(failIf: FailIf | undefined, path: string): readonly CheckedItem[] {
  if (typeof failIf !== 'object' || failIf === null || Array.isArray(failIf))
    throw new ValidationError(
      path,
      failIf === undefined
        ? 'must have a value or be left out (undefined would mean that there is no condition)'
        : 'must be { query, after }',
      failIf,
    )
  const stranger = Object.keys(failIf).find((name) => !['query', 'after'].includes(name))
  if (stranger)
    throw new ValidationError(`${path}.${stranger}`, 'is not an option', (failIf as any)[stranger])
  const items = checkQuery(failIf.query, `${path}.query`)
  if ('after' in failIf && failIf.after === undefined)
    throw new ValidationError(
      `${path}.after`,
      'must have a value or be left out (undefined would mean that nothing was seen)',
      undefined,
    )
  return items
}

export async function checkCondition(
  failIf: FailIf | undefined,
  key: SeenKey,
  path = 'options.failIf',
): Promise<Condition> {
  checkShape(failIf, path)
  return conditionWith(failIf!, 'after' in failIf! ? await key() : undefined, path)
}

/** The same, with the store's key; undefined: no `after` needs it. */
export function conditionWith(given: FailIf, key: Buffer | undefined, path: string): Condition {
  const items = checkShape(given, path)
  const after = 'after' in given ? readSeen(key!, given.after, `${path}.after`) : NOTHING
  return { items, after, locked: [...new Set(items.map(({ tags }) => tags[0]!))], given }
}
