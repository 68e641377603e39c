import type { z } from 'zod'
import { show, ValidationError } from './errors.ts'
import { conceal } from './secrets.ts'

/**
 * Refuses a property that is present but `undefined`, as happens with a variable that was never set. Use it for properties
 * whose absence selects more than the author can have meant. `meanings` tells, for each property, what that would be.
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

/** The value after the schema has checked it, frozen and with defaults. Throws a ValidationError that names path and value. */
export function parse<T extends z.ZodType>(schema: T, value: unknown, path: string): Readonly<z.output<T>> {
  return Object.freeze(check(schema, value, path, 'is not an option')) as Readonly<z.output<T>>
}

/**
 * The same for connection options. The error prints no text that may be a credential, and any text may be one. It prints
 * numbers of the `known` options, and any value of the `open` ones.
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
 * The same for a value that belongs to the caller, so it is not frozen. `unknownProperty` is the problem that is reported for a
 * property that a strict schema does not have. `shown` returns what is printed of the value of an option.
 */
export function check<T extends z.ZodType>(
  schema: T,
  value: unknown,
  path: string,
  unknownProperty: string,
  shown?: (value: unknown, option: unknown) => unknown,
): z.output<T> {
  return checked(schema.safeParse(value, { reportInput: true }), path, unknownProperty, shown)
}

/** Returns the data of a result of zod, or throws as `check` does. */
export function checked<T>(
  result: z.ZodSafeParseResult<T>,
  path: string,
  unknownProperty: string,
  shown: (value: unknown, option: unknown) => unknown = (value) => value,
): T {
  if (result.success) return result.data
  const { issue, at } = deepest(result.error.issues[0]!)
  const where = at.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!
    throw new ValidationError(
      `${path}${where}.${key}`,
      unknownProperty,
      shown((issue.input as Record<string, unknown>)[key], at[0] ?? key),
    )
  }
  throw new ValidationError(`${path}${where}`, problem(issue), shown(issue.input, at[0]))
}

type Issue = z.core.$ZodIssue

/** Of several alternatives, the user most likely meant the one that matched furthest. */
function deepest(issue: Issue, above: PropertyKey[] = []): { issue: Issue; at: PropertyKey[] } {
  const at = [...above, ...issue.path]
  if (issue.code !== 'invalid_union' || issue.message !== ALTERNATIVES) return { issue, at }
  const found = issue.errors.flatMap(([first]) => (first ? [deepest(first, at)] : []))
  const furthest = found.reduce((a, b) => (b.at.length > a.at.length ? b : a), { issue, at })
  return furthest
}

const ALTERNATIVES = 'Invalid input' // zod's message for a union without a message of its own

/** Whether the limit is for the length of a text or a list, not for a number. */
const hasLength = ({ origin }: { origin: string }) => !['number', 'int', 'bigint', 'date'].includes(origin)

/** The problem, in words that fit between the path and the value. */
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
