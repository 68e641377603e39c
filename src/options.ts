import type pg from 'pg'
import { z } from 'zod'
import { mistakeIn, withoutName } from './connection-string.ts'
import { show, ValidationError } from './errors.ts'
import { hasTag } from './kinds.ts'
import { MAX_INT } from './numbers.ts'
import { conceal, redact } from './secrets.ts'
import { Servers } from './servers.ts'

/** Pino- or console-shaped. */
export interface Logger {
  debug(...args: unknown[]): void
  info(...args: unknown[]): void
  warn(...args: unknown[]): void
  error(...args: unknown[]): void
}

/** How to reach a store, and how to treat it. */
export interface ConnectOptions {
  /**
   * `postgres://user:password@host:port/database`; else `pool`, else the standard PG* environment variables. Of a primary and
   * its standbys all: `postgres://host1,host2:5433/database?target_session_attrs=read-write` (or `primary`; default `any`).
   */
  connectionString?: string | undefined
  /** A pool of yours: borrowed, never ended by us. */
  pool?: pg.Pool | undefined
  /** The PostgreSQL schema that holds the events: any identifier of at most 63 bytes, always quoted. Default `meowmx`. */
  schema?: string | undefined
  /** Connections of an owned pool at most. Default 10, minimum 1. Transactional handlers use all but one at once. The listener has one more, for all stores of this process in that database. */
  maxConnections?: number | undefined
  /** Where LISTEN must go round a pooler. Default: where everything else goes. */
  listenConnectionString?: string | undefined
  /** `false`: no LISTEN, poll only. Default `true`. */
  listen?: boolean | undefined
  /** `false`: no named statements (PgBouncer before 1.21 in transaction mode). Default `true`. */
  prepare?: boolean | undefined
  /** Safety net under NOTIFY, never needed for correctness. In ms; default 1000, minimum 10. */
  pollIntervalMs?: number | undefined
  /**
   * A LISTEN connection that went dead without a word (half-open, frozen) is replaced within so many ms, if
   * `queryTimeoutMs` is not less; until then the poll delivers. Default 5000, minimum 500.
   */
  listenerTimeoutMs?: number | undefined
  /**
   * How long a connection may be silent. Then the operating system asks the server for a sign of life (TCP keep-alive), so
   * that routers and firewalls do not forget the connection; and one that was idle for longer is checked before it is used
   * again. Of connections of ours, not of a `pool`. In ms; default 30_000, minimum 1000.
   */
  keepAliveMs?: number | undefined
  /** The longest pause between two attempts to listen again, which begin after 50 ms. In ms; default 1000, minimum 50. */
  reconnectDelayMs?: number | undefined
  /** A query or a connection attempt that takes longer fails, it never hangs. In ms; default 30_000, minimum 100. */
  queryTimeoutMs?: number | undefined
  /**
   * Bytes of events, as text, that this process holds for all its observers and subscriptions together: pages that are read
   * ahead, deliveries in flight, and what is kept for observers that are nearly up to date. One event that is larger still
   * passes, and each consumer may always have one. Default 67_108_864 (64 MiB), minimum 65_536.
   */
  maxBufferedBytes?: number | undefined
  /**
   * Called as pino is, `(fields, message)`, an error as `err`; never with an event's payload. `info`: what changes by intent
   * (migrations, partitions that come and go, push that stands again, a stream that is replayed), `warn`: what mends itself,
   * `error`: what somebody has to look at, `debug`: the rest. By default errors go to `console.error`, warnings to
   * `console.warn`, and the rest nowhere; `false`: nothing is logged.
   */
  logger?: Logger | false | undefined
  /**
   * Spans and metrics through OpenTelemetry, where `@opentelemetry/api` is installed beside this package and the application
   * has registered a provider, be it before or later. Default `true`; `false`: none, and events carry no `traceparent` of ours.
   */
  telemetry?: boolean | undefined
}

const ms = (least: number) => z.number().int().min(least).max(MAX_INT)
const text = z
  .string()
  .min(1)
  .refine((s) => !s.includes('\u0000') && s.isWellFormed(), 'must not contain \\u0000 or a lone surrogate')
const method = z.custom<(...args: any[]) => any>((f) => typeof f === 'function', 'must be a function')
const logger = z.custom<Logger>(
  (l) => ['debug', 'info', 'warn', 'error'].every((level) => typeof (l as any)?.[level] === 'function'),
  'must have the methods debug, info, warn and error',
)

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** The default, so that nothing fails or ends without a word. `console` is looked up with each call: a test may replace it. */
const consoleLogger: Logger = {
  ...silent,
  warn: (fields, message) => console.warn(`meowmx: ${message}`, fields),
  error: (fields, message) => console.error(`meowmx: ${message}`, fields),
}

/** Tells the other what it is told, without what may be a credential. */
function discreet(logger: Logger): Logger {
  const tell =
    (level: keyof Logger) =>
    (...args: unknown[]) =>
      logger[level](...args.map(redact))
  return { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
}

/** One that pg can read. */
const connectionString = z
  .string()
  .min(1)
  .superRefine((text, context) => {
    try {
      const mistake = mistakeIn(text)
      if (mistake !== undefined) throw new Error(mistake)
      new Servers(text)
    } catch (error) {
      const { message } = error as Error
      const hint = message === 'Invalid URL' ? ENCODE : ''
      context.addIssue({
        code: 'custom',
        message: `is no connection string (${message}${hint})`,
        input: text,
      })
    }
  })
  .transform(withoutName)

const ENCODE =
  ': its port must be a number, and in user and password characters such as # / ? @ must be percent-encoded'

const connectFields = z.strictObject({
  connectionString: connectionString.optional(),
  pool: z
    .custom<pg.Pool>((p) => typeof (p as pg.Pool)?.connect === 'function', 'must be a pg.Pool')
    .optional(),
  schema: text
    .refine((s) => Buffer.byteLength(s) <= 63, 'must be at most 63 bytes long')
    .refine((s) => !s.startsWith('pg_'), 'must not start with pg_, which PostgreSQL keeps for itself')
    .default('meowmx'),
  maxConnections: z.number().int().min(1).max(10_000).default(10),
  listenConnectionString: connectionString.optional(),
  listen: z.boolean().default(true),
  prepare: z.boolean().default(true),
  pollIntervalMs: ms(10).default(1000),
  listenerTimeoutMs: ms(500).default(5_000),
  keepAliveMs: ms(1_000).default(30_000),
  reconnectDelayMs: ms(50).default(1_000),
  queryTimeoutMs: ms(100).default(30_000),
  maxBufferedBytes: z.number().int().min(65_536).max(Number.MAX_SAFE_INTEGER).default(67_108_864),
  logger: z
    .union([z.literal(false), logger], {
      error: 'must have the methods debug, info, warn and error, or be false',
    })
    .default(consoleLogger)
    .transform((given) => (given === false ? silent : discreet(given))),
  telemetry: z.boolean().default(true),
})
export const connectOptions = connectFields.refine((o) => !(o.pool && o.connectionString), {
  path: ['pool'],
  message: 'must not be given together with connectionString',
})
export type Settings = Readonly<z.output<typeof connectOptions>>

/** What `connect` takes, complete. */
export function connectSettings(options: unknown): Settings {
  return parseSecret(connectOptions, options, Object.keys(connectFields.shape), ['schema'])
}

/** A category, stream id or type: non-empty, at most 255 characters. */
export const name = text.refine(
  (s) => s.length <= 255 || [...s].length <= 255,
  'must be at most 255 characters long',
)
export const version = z.number().int().min(0).max(MAX_INT)
export const position = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
export const client = z.custom<pg.ClientBase>(
  // A pool has `query` too, but takes another connection, outside the transaction, for each.
  (c) => typeof (c as pg.ClientBase)?.query === 'function' && !('totalCount' in (c as object)),
  'must be a pg client with an open transaction',
)
export const signal = z.custom<AbortSignal>((s) => hasTag(s, 'AbortSignal'), 'must be an AbortSignal')
export { method, ms }

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
