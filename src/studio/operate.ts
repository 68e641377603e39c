// What an operator may change from the page: replay, skip, pause, resume and reset.
import { z } from 'zod'
import { nameSchema, textSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import { HttpError } from './http-error.ts'
import type { Request, Store } from './request.ts'

const subscription = nameSchema
const SCHEMAS = {
  replay: z.strictObject({ subscription, streamId: nameSchema.optional() }),
  skip: z.strictObject({ subscription, category: nameSchema, streamId: nameSchema, reason: textSchema }),
  named: z.strictObject({ subscription }),
  reset: z.strictObject({
    subscription,
    /** The name again, which the operator types: a reset cannot be undone. */
    confirm: nameSchema,
    to: z.union([
      z.enum(['start', 'end']),
      z.strictObject({ after: z.number().int().min(0) }),
      z.strictObject({ since: z.iso.datetime({ offset: true }) }),
    ]),
  }),
}

/** The changes, by method and path. Without `write` each one is refused, before its body is looked at. */
export const CHANGES: readonly [string, (store: Store, request: Request) => Promise<unknown>][] = [
  change('replay', SCHEMAS.replay, async ({ meow }, { subscription, streamId }) => {
    return { replayed: await meow.replayParked(subscription, streamId === undefined ? {} : { streamId }) }
  }),
  change('skip', SCHEMAS.skip, async ({ meow }, { subscription, ...which }) => {
    return { replayed: await meow.discardParked(subscription, which) }
  }),
  change('pause', SCHEMAS.named, async ({ meow }, { subscription }) => {
    await meow.pauseSubscription(subscription)
    return { status: 'paused' }
  }),
  change('resume', SCHEMAS.named, async ({ meow }, { subscription }) => {
    await meow.resumeSubscription(subscription)
    return { status: 'resumed' }
  }),
  change('reset', SCHEMAS.reset, async ({ meow }, { subscription, confirm, to }) => {
    if (confirm !== subscription)
      throw new HttpError(400, `body.confirm must be the name of the subscription, "${subscription}"`)
    await meow.resetSubscription(subscription, to)
    const [info] = await meow.subscriptions({ names: [subscription] })
    return { position: info?.position ?? 0 }
  }),
]

function change<T>(
  name: string,
  schema: z.ZodType<T>,
  make: (store: Store, body: T) => Promise<unknown>,
): [string, (store: Store, request: Request) => Promise<unknown>] {
  const run = async (store: Store, { body }: Request) => {
    if (!store.write)
      throw new HttpError(403, `the studio is read only: start it with --write to ${name} from the page`)
    const made = await make(store, parse(schema, body, 'body'))
    store.queries.subscriptions.invalidate()
    return made
  }
  return [`POST /api/${name}`, run]
}
