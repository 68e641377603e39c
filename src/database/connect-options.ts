import type pg from 'pg'
import { z } from 'zod'
import { ms, text } from '../core/fields.ts'
import type { Logger } from '../core/logger.ts'
import { consoleLogger, redacting, silent } from '../core/logger.ts'
import { parseSecret } from '../core/validate.ts'
import { mistakeIn, withoutName } from './connection-string.ts'
import { Servers } from './servers.ts'

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

const logger = z.custom<Logger>(
  (l) => ['debug', 'info', 'warn', 'error'].every((level) => typeof (l as any)?.[level] === 'function'),
  'must have the methods debug, info, warn and error',
)

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
    .transform((given) => (given === false ? silent : redacting(given))),
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
