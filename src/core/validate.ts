import type { z } from 'zod'
import { show, ValidationError } from './errors.ts'
import { conceal } from './secrets.ts'

/**
 * Refuse a property that is there and `undefined`, as a variable is that was never set, if without the property more is meant
 * than its author can have wanted. `meanings` says what, by property.
 */
export function refuseUndefined(
  value: unknown,
  path: string,
  meanings: Readonly<Record<string, string>>,
): void {
  if (typeof value !== 'object' || value === null) return
  for (const property in meanings)
    if (property in value && (value as Record<string, unknown>)[property] === undefined)
      throw new ValidationError(
        `${path}.${property}`,
        `must have a value or be left out (undefined would mean ${meanings[property]})`,
        undefined,
      )
}

/** The value as the schema has it, frozen and complete; else a ValidationError that names path and value. */
export function parse<T extends z.ZodType>(schema: T, value: unknown, path: string): Readonly<z.output<T>> {
  return Object.freeze(check(schema, value, path, 'is not an option')) as Readonly<z.output<T>>
}

/**
 * The same of options that say how to get in somewhere: of what is wrong, no text is printed that may be a credential, and that
 * is any. Only of the `known` options numbers are, and all of those that are `open`.
 */
export function parseSecret<T extends z.ZodType>(
  schema: T,
  value: unknown,
  known: readonly string[],
  open: readonly string[],
): Readonly<z.output<T>> {
  const shown = (value: unknown, option: unknown) => {
    if (typeof value === 'string' && open.includes(option as string)) return value
    return typeof value === 'number' && known.includes(option as string) ? value : conceal(value)
  }
  return Object.freeze(check(schema, value, 'options', 'is not an option', shown)) as Readonly<z.output<T>>
}

/**
 * The same of a value that is not ours to freeze; `stranger` is said of a property that a strict schema does not have, and
 * `shown` is what is printed of a value, which belongs to an option.
 */
export function check<T extends z.ZodType>(
  schema: T,
  value: unknown,
  path: string,
  stranger: string,
  shown?: (value: unknown, option: unknown) => unknown,
): z.output<T> {
  return checked(schema.safeParse(value, { reportInput: true }), path, stranger, shown)
}

/** What zod's answer came to, as `check` says it. */
export function checked<T>(
  result: z.ZodSafeParseResult<T>,
  path: string,
  stranger: string,
  shown: (value: unknown, option: unknown) => unknown = (value) => value,
): T {
  if (result.success) return result.data
  const { issue, at } = deepest(result.error.issues[0]!)
  const where = at.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!
    throw new ValidationError(
      `${path}${where}.${key}`,
      stranger,
      shown((issue.input as Record<string, unknown>)[key], at[0] ?? key),
    )
  }
  throw new ValidationError(`${path}${where}`, problem(issue), shown(issue.input, at[0]))
}

type Issue = z.core.$ZodIssue

/** Of alternatives, the one that went furthest is what was meant. */
function deepest(issue: Issue, above: PropertyKey[] = []): { issue: Issue; at: PropertyKey[] } {
  const at = [...above, ...issue.path]
  if (issue.code !== 'invalid_union' || issue.message !== ALTERNATIVES) return { issue, at }
  const found = issue.errors.flatMap(([first]) => (first ? [deepest(first, at)] : []))
  const furthest = found.reduce((a, b) => (b.at.length > a.at.length ? b : a), { issue, at })
  return furthest
}

const ALTERNATIVES = 'Invalid input' // what zod says where a union has no message of its own

/** Of a text or a list not the value is too small or big. */
const hasLength = ({ origin }: { origin: string }) => !['number', 'int', 'bigint', 'date'].includes(origin)

/** What is wrong, in words that stand between the path and the value. */
function problem(issue: Issue): string {
  switch (issue.code) {
    case 'too_small':
      if (hasLength(issue) && issue.minimum === 1) return 'must not be empty'
      return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${hasLength(issue) ? ' long' : ''}`
    case 'too_big':
      return `must be ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${hasLength(issue) ? ' long' : ''}`
    case 'invalid_value':
      return `must be one of ${issue.values.map((value) => show(value)).join(', ')}`
    case 'invalid_type': {
      const type = issue.expected === 'int' ? 'integer' : issue.expected
      return `must be ${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`
    }
    case 'invalid_union':
      return issue.message === ALTERNATIVES
        ? `must be ${issue.errors.flatMap(([first]) => (first ? [problem(first).replace(/^must be /, '')] : [])).join(' or ')}`
        : issue.message
    default:
      return issue.message
  }
}
