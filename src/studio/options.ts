import { randomBytes } from 'node:crypto'
import { z } from 'zod'

/** Where the studio is served, and what may be done there. */
export interface StudioOptions {
  /**
   * Where to listen. Default `127.0.0.1`, which nobody but this machine reaches. Elsewhere (`0.0.0.0`) whoever has the
   * token can read the whole store, and the token travels unencrypted.
   */
  host?: string | undefined
  /** Default 0: any free one. At most 65_535. */
  port?: number | undefined
  /** Default false: nothing can be changed. True: parked events can be replayed. */
  write?: boolean | undefined
  /**
   * What whoever asks has to know: 16 to 200 of the characters A-Z a-z 0-9 - . _ ~, by chance (`openssl rand -hex 16`). One that
   * stays is for Prometheus. Default: 128 bits of chance, others at each start.
   */
  token?: string | undefined
  /** What the page calls the store, e.g. `shop (staging)`; at most 100 characters. Default `store`. */
  title?: string | undefined
}

/** A secret: what is wrong with one is said without it. */
export const studioToken = z.custom<string>().superRefine((token: unknown, context) => {
  if (typeof token === 'string' && /^[A-Za-z0-9._~-]{16,200}$/.test(token)) return
  const message = 'must be 16 to 200 of the characters A-Z a-z 0-9 - . _ ~'
  const input = typeof token === 'string' ? `***, ${token.length} long` : `*** (${typeof token})`
  context.addIssue({ code: 'custom', message, input })
})

export const studioOptions = z.strictObject({
  host: z
    .string()
    .regex(/^[A-Za-z0-9.:_-]+$/, 'must be a host name or an address')
    .default('127.0.0.1'),
  port: z.number().int().min(0).max(65_535).default(0),
  write: z.boolean().default(false),
  token: studioToken.default(() => randomBytes(16).toString('base64url')),
  title: z.string().min(1).max(100).default('store'),
})
