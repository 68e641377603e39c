// The options of `startStudio`.
import { randomBytes } from 'node:crypto'
import { z } from 'zod'

/** Options of `startStudio`. */
export interface StudioOptions {
  /**
   * The address to listen on. Default `127.0.0.1`, which only this machine can reach. On another one (`0.0.0.0`) everybody who
   * has the token can read the whole store, and the token is sent unencrypted.
   */
  host?: string | undefined
  /** The port. Default 0: any free one. Minimum 0, maximum 65_535. */
  port?: number | undefined
  /** Whether the page can change subscriptions, parked events, projections and timers. Default false: nothing can be changed. */
  write?: boolean | undefined
  /**
   * The secret that every request needs: 16 to 200 of the characters A-Z a-z 0-9 - . _ ~, chosen at random (`openssl rand -hex 16`).
   * Give one for Prometheus, so that it stays the same. Default: 128 random bits, new at each start.
   */
  token?: string | undefined
  /** The name of the store on the page, e.g. `shop (staging)`; 1 to 100 characters. Default `store`. */
  title?: string | undefined
}

/** The token is a secret, so its error does not show it. */
export const studioTokenSchema = z.custom<string>().superRefine((token: unknown, context) => {
  if (typeof token === 'string' && /^[A-Za-z0-9._~-]{16,200}$/.test(token)) return
  const message = 'must be 16 to 200 of the characters A-Z a-z 0-9 - . _ ~'
  const input = typeof token === 'string' ? `***, ${token.length} long` : `*** (${typeof token})`
  context.addIssue({ code: 'custom', message, input })
})

export const studioOptionsSchema = z.strictObject({
  host: z
    .string()
    .regex(/^[A-Za-z0-9.:_-]+$/, 'must be a host name or an address')
    .default('127.0.0.1'),
  port: z.number().int().min(0).max(65_535).default(0),
  write: z.boolean().default(false),
  token: studioTokenSchema.default(() => randomBytes(16).toString('base64url')),
  title: z.string().min(1).max(100).default('store'),
})
