import { inspect } from 'node:util'
import pg from 'pg'

/** What stands for a password, wherever somebody may put one by mistake. */
export interface Plants {
  /** An address with the password in it, without a server. */
  readonly url: string
  readonly all: readonly unknown[]
  /** What was planted, if that is printed: nothing is what it should be. */
  found(printed: unknown): string | undefined
  /** Arguments, for people. */
  sketch(args: readonly unknown[]): string
}

export function plantsOf(password: string): Plants {
  const url = `postgres://bob:${password}@127.0.0.1:1/shop`
  const config = { user: 'bob', password, host: '127.0.0.1', port: 1 }
  const cycle: Record<string, unknown> = { url }
  cycle.self = cycle
  return {
    url,
    all: [
      url,
      url.replace('postgres:', 'nats:'),
      `${url}?sslmode=require&p%61ssword=${password}`,
      `postgres:///shop?user=bob&password=${password}&host=127.0.0.1&port=1`,
      `host=127.0.0.1 port=1 user=bob password=${password}`,
      `bob:${password}@127.0.0.1:1/shop`,
      `PGPASSWORD=${password}`,
      JSON.stringify(config),
      [url],
      { url },
      { connectionString: url },
      config,
      { nested: { deep: [{ apiKey: password }] } },
      { token: password, sslpassword: password, pass: password, credentials: { key: password } },
      { [url]: true },
      new Map([['password', password]]),
      new Set([url]),
      new Error(`can not reach ${url}`),
      new pg.Pool(config),
      new pg.Pool({ connectionString: url }),
      new pg.Client(url),
      cycle,
    ],
    found: (printed) => {
      for (const text of texts(printed)) {
        const at = text.indexOf(password)
        if (at >= 0) return text.slice(Math.max(0, at - 200), at + 200)
      }
      return undefined
    },
    sketch: (args) => inspect(args, { depth: 3 }).slice(0, 1_000),
  }
}

/** The same arguments with a plant in each place: instead of each argument and of each part of it, and beside what is there. */
export function* planted(args: readonly unknown[], { all }: Plants): Generator<unknown[]> {
  for (const i of [...args.keys(), args.length])
    for (const plant of all) yield [...args.slice(0, i), plant, ...args.slice(i + 1)]
  const few = all.filter((_, i) => i % 4 === 0)
  for (const [i, arg] of args.entries())
    for (const plant of few)
      for (const other of within(arg, plant)) yield [...args.slice(0, i), other, ...args.slice(i + 1)]
}

function* within(value: any, plant: unknown): Generator<unknown> {
  if (!(Array.isArray(value) || Object.getPrototypeOf(value ?? 0) === Object.prototype)) return
  const keys = Object.keys(value)
  for (const key of keys) {
    const item = (value as any)[key]
    for (const other of [plant, ...within(item, plant)]) yield replaced(value, key, other)
  }
  if (!Array.isArray(value))
    for (const key of ['url', 'passwort', String(plant)]) yield { ...value, [key]: plant }
}

function replaced(value: object, key: string, item: unknown): unknown {
  const copy: any = Array.isArray(value) ? [...value] : { ...value }
  copy[key] = item
  return copy
}

/** All ways in which something may be printed. */
function* texts(printed: unknown): Generator<string> {
  if (typeof printed === 'string') return yield printed
  yield inspect(printed, { depth: 20, maxStringLength: null, maxArrayLength: null, breakLength: Infinity })
  yield json(printed)
  for (let error = printed, depth = 0; error instanceof Error && depth < 10; error = error.cause, depth++) {
    yield `${error.message}\n${error.stack}\n${String(error)}`
    for (const [name, value] of Object.entries(error))
      yield `${name}: ${json(value)} ${inspect(value, { depth: 20 })}`
  }
}

function json(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return ''
  }
}
