// Says which changes of a JSON Schema would break readers.

interface Schema {
  readonly 'x-version'?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly [keyword: string]: unknown
}

/** Keywords that only describe, or are compared by themselves. */
const OTHER = new Set([
  '$schema',
  '$id',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'x-version',
  'properties',
  'required',
  'items',
  'enum',
])

/**
 * What would break readers if `after` took the place of `before`, one sentence for each problem: stored events no longer fit,
 * or a property that readers rely on may be missing. With a higher version anything may change, because upcasters convert old
 * events.
 */
export function breakingChanges(before: object, after: object): string[] {
  const [old, now] = [before as Schema, after as Schema]
  const [from, to] = [old['x-version'] ?? 1, now['x-version'] ?? 1]
  if (to > from) return []
  if (to < from) return [`its version goes back from ${from} to ${to}`]
  return changes(old, now, '')
}

function changes(old: Schema, now: Schema, path: string): string[] {
  const at = path === '' ? 'the data' : path
  const found: string[] = []
  for (const keyword of new Set([...Object.keys(old), ...Object.keys(now)]))
    if (!OTHER.has(keyword) && text(old[keyword]) !== text(now[keyword]))
      found.push(`${at}: ${keyword} changes from ${text(old[keyword])} to ${text(now[keyword])}`)
  const values = (schema: Schema) => (schema.enum as unknown[] | undefined)?.map(text)
  const gone = values(old)?.filter((value) => values(now) && !values(now)!.includes(value)) ?? []
  if (gone.length > 0) found.push(`${at}: ${gone.join(', ')} is no longer allowed`)
  if (!values(old) && values(now)) found.push(`${at}: only ${values(now)!.join(', ')} is allowed now`)
  for (const name of now.required ?? [])
    if (!old.required?.includes(name)) found.push(`${join(path, name)} is required now`)
  for (const name of old.required ?? [])
    if (!now.required?.includes(name)) found.push(`${join(path, name)} is no longer required`)
  for (const [name, schema] of Object.entries(old.properties ?? {})) {
    const next = now.properties?.[name]
    if (next) found.push(...changes(schema, next, join(path, name)))
  }
  if (isSchema(old.items) && isSchema(now.items)) found.push(...changes(old.items, now.items, `${path}[]`))
  else if (text(old.items) !== text(now.items)) found.push(`${at}: items change`)
  return found
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const join = (path: string, name: string) => (path === '' ? name : `${path}.${name}`)

/** JSON whose keys are in one order. */
function text(value: unknown): string {
  return (
    JSON.stringify(value, (_, part) =>
      isSchema(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
    ) ?? 'nothing'
  )
}
