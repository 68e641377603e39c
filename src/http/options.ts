// The options of feeds.
import { z } from 'zod'
import { methodSchema, ms } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { FeedSelector } from './address.ts'

/** Which other sites may read a feed in a browser. */
export interface CorsOptions {
  /** Origins such as `https://shop.example`, or `'*'` for every site. */
  origin: string | readonly string[]
  /** Whether browsers may send cookies. Default false; not with `'*'`. */
  credentials?: boolean | undefined
}

/** Options that `eventFeed` and `stateFeed` share. `T` is what `authorize` is asked for. */
export interface FeedOptions<T> {
  /**
   * Whether the request may read this. It is called for each request, and again while a connection stays open. Only `true` is a
   * yes. If it throws, the request fails with status 500 and the error is logged.
   */
  authorize: (request: Request, target: T) => boolean | Promise<boolean>
  /** The path below which addresses begin. Default `/events`; `/` for none. */
  path?: string | undefined
  /** A sign of life is sent this often, in ms. Default 15_000, minimum 50. */
  heartbeatMs?: number | undefined
  /** `authorize` is asked again this often while a connection stays open, in ms. Default 30_000, minimum 50. */
  reauthorizeMs?: number | undefined
  /** A live connection ends after this time, in ms, and its client connects again. Default 300_000, minimum 50. */
  connectionMs?: number | undefined
  /** A connection that has taken nothing for this time, in ms, is dropped. Default 30_000, minimum 50. */
  stallMs?: number | undefined
  /** Requests at the same time, connections included; more are answered with status 503. Default 20_000, minimum 1. */
  maxConnections?: number | undefined
  /** Requests at the same time of one caller; more are answered with status 429. Default 100, minimum 1. */
  maxConnectionsPerCaller?: number | undefined
  /**
   * Who sends a request, for the limit. Default: the header `Authorization`, else `Cookie`; requests without both are limited
   * only by `maxConnections`. Return `undefined` for a caller without a limit.
   */
  caller?: ((request: Request) => string | undefined) | undefined
  /** Which other sites may read this in a browser. Default: none. */
  cors?: CorsOptions | undefined
}

/** Options of `eventFeed`. */
export interface EventFeedOptions extends FeedOptions<FeedSelector> {
  /** Whether `…/all` may be requested, if `authorize` permits it, too. Default false. */
  all?: boolean | undefined
  /** What is sent of an event: a JSON value, or `undefined` to leave the event out. Default: the event. It must be pure. */
  map?: ((event: RecordedEvent) => unknown) | undefined
  /** How long a long poll waits for an event, in ms. Default 20_000, minimum 50. */
  longPollMs?: number | undefined
  /**
   * The header `Cache-Control` of full pages, which can't change any more unless a stream is erased. Default `private, no-cache`:
   * a cache asks each time, so `authorize` is asked as well, and an unchanged page is not sent again. With
   * `private, max-age=60` a browser keeps pages for a minute, also for its next user. Make it `public` only if everybody may read.
   */
  cacheControl?: string | undefined
}

const cors = z
  .strictObject({
    origin: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
    credentials: z.boolean().default(false),
  })
  .refine(({ origin, credentials }) => !credentials || ![origin].flat().includes('*'), {
    path: ['credentials'],
    message: "can not be true with the origin '*': name the origins",
  })
const duration = (byDefault: number) => ms(50).default(byDefault)
const count = (byDefault: number) => z.number().int().min(1).default(byDefault)
const shape = {
  authorize: methodSchema as z.ZodType<(request: Request, target: any) => unknown>,
  path: z
    .string()
    .regex(
      /^\/([A-Za-z0-9._~-]+(\/[A-Za-z0-9._~-]+)*)?$/,
      'must begin with / and not end with it, such as /events',
    )
    .default('/events'),
  heartbeatMs: duration(15_000),
  reauthorizeMs: duration(30_000),
  connectionMs: duration(300_000),
  stallMs: duration(30_000),
  maxConnections: count(20_000),
  maxConnectionsPerCaller: count(100),
  caller: (methodSchema as z.ZodType<(request: Request) => unknown>).optional(),
  cors: cors.optional(),
}
const feedOptionsSchema = z.strictObject(shape)
const eventFeedOptionsSchema = z.strictObject({
  ...shape,
  all: z.boolean().default(false),
  map: (methodSchema as z.ZodType<(event: RecordedEvent) => unknown>).optional(),
  longPollMs: duration(20_000),
  cacheControl: z
    .string()
    .regex(/^[\x20-\x7e]+$/, 'must be the value of a header')
    .default('private, no-cache'),
})

export type FeedSettings = Readonly<z.output<typeof feedOptionsSchema>>
export type EventFeedSettings = Readonly<z.output<typeof eventFeedOptionsSchema>>

/** @throws ValidationError */
export const feedSettings = (options: unknown): FeedSettings => parse(feedOptionsSchema, options, 'options')
/** @throws ValidationError */
export const eventFeedSettings = (options: unknown): EventFeedSettings =>
  parse(eventFeedOptionsSchema, options, 'options')
