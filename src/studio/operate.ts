// What an operator may change from the page: subscriptions, projections and timers.
import { z } from 'zod'
import { nameSchema, textSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import { HttpError } from './http-error.ts'
import type { Request, Store } from './request.ts'

const subscription = nameSchema
/** How long a switch may try, in ms, while long queries use the views. */
const SWITCH_MS = 10_000
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
  version: z.strictObject({ projection: nameSchema, version: z.number().int().min(1) }),
  projection: z.strictObject({ projection: nameSchema }),
  drop: z.strictObject({
    projection: nameSchema,
    version: z.number().int().min(1),
    /** The name again, which the operator types: what is dropped has to be built anew. */
    confirm: nameSchema,
  }),
  timer: z.strictObject({ key: nameSchema }),
  timers: z.strictObject({ process: nameSchema, id: nameSchema.optional() }),
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
  change('activate', SCHEMAS.version, async ({ meow }, { projection, version }, signal) => {
    await meow.activateProjection(projection, version, { timeoutMs: SWITCH_MS, signal })
    return { version }
  }),
  change('rebuild', SCHEMAS.projection, async ({ rebuilds }, { projection }) => {
    return { done: await rebuilds.start(projection) }
  }),
  change('drop', SCHEMAS.drop, async ({ meow }, { projection, version, confirm }, signal) => {
    if (confirm !== projection)
      throw new HttpError(400, `body.confirm must be the name of the projection, "${projection}"`)
    await meow.dropProjection(projection, version, { timeoutMs: SWITCH_MS, signal })
    return { version }
  }),
  change('run-timer', SCHEMAS.timer, async ({ meow }, { key }) => ({ fired: await meow.runTimer(key) })),
  change('cancel-timer', SCHEMAS.timer, async ({ meow }, { key }) => {
    return { cancelled: await meow.unschedule(key) }
  }),
  change('retry-timers', SCHEMAS.timers, async ({ meow }, { process, id }) => {
    return { retried: await meow.retryProcessTimers(process, id === undefined ? {} : { id }) }
  }),
]

function change<T>(
  name: string,
  schema: z.ZodType<T>,
  make: (store: Store, body: T, signal: AbortSignal) => Promise<unknown>,
): [string, (store: Store, request: Request) => Promise<unknown>] {
  const run = async (store: Store, { body, signal }: Request) => {
    if (!store.write)
      throw new HttpError(403, `the studio is read only: start it with --write to ${name} from the page`)
    const made = await make(store, parse(schema, body, 'body'), signal)
    const { subscriptions, projections, timers, managers } = store.queries
    for (const query of [subscriptions, projections, timers, managers]) query.invalidate()
    return made
  }
  return [`POST /api/${name}`, run]
}
