import type pg from 'pg'
import { z } from 'zod'
import { ms, textSchema } from '../core/fields.ts'
import type { Logger } from '../core/logger.ts'
import { consoleLogger, redacting, silent } from '../core/logger.ts'
import { parseSecret } from '../core/validate.ts'
import { mistakeIn, withoutName } from './connection-string.ts'
import { Servers } from './servers.ts'

/** How to connect to a store, and how it behaves. */
export interface ConnectOptions {
  /**
   * `postgres://user:password@host:port/database`. Default: `pool`, otherwise the standard PG* environment variables. For a
   * primary and its standbys, list all: `postgres://host1,host2:5433/database?target_session_attrs=read-write` (or `primary`;
   * default `any`).
   */
  connectionString?: string | undefined
  /** Your own pool. The store borrows connections from it and never ends it. */
  pool?: pg.Pool | undefined
  /** The PostgreSQL schema that contains the events: any identifier of at most 63 bytes, always quoted. Default `meowmx`. */
  schema?: string | undefined
  /**
   * The maximum number of connections of the store's own pool. Default 10, minimum 1. Transactional handlers use at most all
   * but one of them. The listener uses one more, shared by all stores of this process in the same database.
   */
  maxConnections?: number | undefined
  /** The address for LISTEN, if the other connections go through a pooler. Default: the same as for the other connections. */
  listenConnectionString?: string | undefined
  /** `false`: the store polls and does not use LISTEN. Default `true`. */
  listen?: boolean | undefined
  /** `false`: no named statements (PgBouncer before 1.21 in transaction mode). Default `true`. */
  prepare?: boolean | undefined
  /**
   * How often the store polls, in case a notification is lost. Correctness never depends on it. In ms; default 1000, minimum
   * 10.
   */
  pollIntervalMs?: number | undefined
  /**
   * How soon a stale LISTEN connection (half-open, frozen) is replaced, unless `queryTimeoutMs` is shorter. Until then events
   * arrive by polling. In ms; default 5000, minimum 500.
   */
  listenerTimeoutMs?: number | undefined
  /**
   * How long a connection may be idle before the operating system sends a TCP keep-alive, so that routers and firewalls do not
   * drop it. A connection that was idle for longer is checked before it is used again. Applies to the store's own connections,
   * not to a `pool`. In ms; default 30_000, minimum 1000.
   */
  keepAliveMs?: number | undefined
  /** The longest pause between two attempts to listen again; the first pause is 50 ms. In ms; default 1000, minimum 50. */
  reconnectDelayMs?: number | undefined
  /** A query or a connection attempt that takes longer than this fails. In ms; default 30_000, minimum 100. */
  queryTimeoutMs?: number | undefined
  /**
   * The maximum size of events, as text, that this process holds for all its observers and subscriptions together: prefetched
   * pages, deliveries in flight, and pages that are kept for observers that are nearly up to date. A larger event is still
   * delivered, and each consumer may always have one event. In bytes; default 67_108_864 (64 MiB), minimum 65_536.
   */
  maxBufferedBytes?: number | undefined
  /**
   * Receives log lines as pino does, `(fields, message)`, with an error as `err`, and never the payload of an event. `info`:
   * intended changes (migrations, partitions that are taken or handed over, push that works again, a stream that is replayed).
   * `warn`: problems that the store solves itself. `error`: problems that need a person. `debug`: everything else. By default
   * errors go to `console.error` and warnings to `console.warn`. `false`: nothing is logged.
   */
  logger?: Logger | false | undefined
  /**
   * Whether spans and metrics are sent through OpenTelemetry. This needs the package `@opentelemetry/api`, and a provider that
   * the application registers at any time. Default `true`; `false`: no spans and metrics, and events get no `traceparent` from
   * the store.
   */
  telemetry?: boolean | undefined
}

const loggerSchema = z.custom<Logger>(
  (l) => ['debug', 'info', 'warn', 'error'].every((level) => typeof (l as any)?.[level] === 'function'),
  'must have the methods debug, info, warn and error',
)

/** A connection string that pg can read. */
const connectionStringSchema = z
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

const connectFieldsSchema = z.strictObject({
  connectionString: connectionStringSchema.optional(),
  pool: z
    .custom<pg.Pool>((p) => typeof (p as pg.Pool)?.connect === 'function', 'must be a pg.Pool')
    .optional(),
  schema: textSchema
    .refine((s) => Buffer.byteLength(s) <= 63, 'must be at most 63 bytes long')
    .refine((s) => !s.startsWith('pg_'), 'must not start with pg_, which PostgreSQL keeps for itself')
    .default('meowmx'),
  maxConnections: z.number().int().min(1).max(10_000).default(10),
  listenConnectionString: connectionStringSchema.optional(),
  listen: z.boolean().default(true),
  prepare: z.boolean().default(true),
  pollIntervalMs: ms(10).default(1000),
  listenerTimeoutMs: ms(500).default(5_000),
  keepAliveMs: ms(1_000).default(30_000),
  reconnectDelayMs: ms(50).default(1_000),
  queryTimeoutMs: ms(100).default(30_000),
  maxBufferedBytes: z.number().int().min(65_536).max(Number.MAX_SAFE_INTEGER).default(67_108_864),
  logger: z
    .union([z.literal(false), loggerSchema], {
      error: 'must have the methods debug, info, warn and error, or be false',
    })
    .default(consoleLogger)
    .transform((given) => (given === false ? silent : redacting(given))),
  telemetry: z.boolean().default(true),
})
export const connectOptionsSchema = connectFieldsSchema.refine((o) => !(o.pool && o.connectionString), {
  path: ['pool'],
  message: 'must not be given together with connectionString',
})
export type Settings = Readonly<z.output<typeof connectOptionsSchema>>

/** Validates the options of `connect` and fills in the defaults. */
export function connectSettings(options: unknown): Settings {
  return parseSecret(connectOptionsSchema, options, Object.keys(connectFieldsSchema.shape), ['schema'])
}
