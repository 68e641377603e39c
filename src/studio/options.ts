import { randomBytes } from 'node:crypto'
import { z } from 'zod'

/** Where the studio is served, and what may be done there. */
export interface StudioOptions {
  /**
   * Where to listen. Default `127.0.0.1`, which nobody but this machine reaches. Elsewhere (`0.0.0.0`) whoever has the
   * token can read the whole store, and the token travels unencrypted.
   */
  host?: string
  /** Default 0: any free one. At most 65_535. */
  port?: number
  /** Default false: nothing can be changed. True: parked events can be replayed. */
  write?: boolean
  /** What a page has to know; at least 22 of the characters A-Z a-z 0-9 _ -. Default: 128 bits of chance. */
  token?: string
  /** What the page calls the store, e.g. `shop (staging)`; at most 100 characters. Default `store`. */
  title?: string
}

export const studioOptions = z.strictObject({
  host: z
    .string()
    .regex(/^[A-Za-z0-9.:_-]+$/, 'must be a host name or an address')
    .default('127.0.0.1'),
  port: z.number().int().min(0).max(65_535).default(0),
  write: z.boolean().default(false),
  token: z
    .string()
    .regex(/^[A-Za-z0-9_-]{22,200}$/, 'must be 22 to 200 of the characters A-Z a-z 0-9 _ -')
    .default(() => randomBytes(16).toString('base64url')),
  title: z.string().min(1).max(100).default('store'),
})
