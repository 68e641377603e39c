// Answers probes: whether this process can work with the store.
import { firstValueFrom } from 'rxjs'
import { z } from 'zod'
import { explain, TimeoutError } from '../../core/errors.ts'
import { ms } from '../../core/fields.ts'
import { withTimeout } from '../../core/timeout.ts'
import { parse } from '../../core/validate.ts'
import type { Database } from '../../database/database.ts'
import { examine, staleness } from '../../database/health.ts'
import { difference } from '../../database/installed.ts'
import { statements } from '../../database/statements.ts'
import type { Listener } from '../../notify/listener.ts'
import type { SubscriptionList } from './subscriptions.ts'

/** Options of `meow.health()`. */
export interface HealthOptions {
  /** How many events a subscription of the store may have to handle, unless it is paused; minimum 0. Default: lags are not checked. */
  maxLag?: number | undefined
  /** After how long the database counts as unreachable. In ms; default 5000, minimum 1. */
  timeoutMs?: number | undefined
}

/** One thing that was checked. */
export interface HealthCheck {
  ok: boolean
  /** What was found, and, if it is not ok, what to do. */
  message: string
}

/** The answer to a probe. */
export interface Health {
  /** Whether all checks are ok. */
  ok: boolean
  checks: {
    /** Whether the database answers. */
    database: HealthCheck
    /** Whether the schema is that of this version, and in a state in which no event can be missed. */
    schema: HealthCheck
    /** Whether events are pushed. Not ok: the LISTEN connection has been away for more than 10 s, so that only polls bring events. */
    push: HealthCheck
    /** With `maxLag`: whether no subscription has more events to handle; with their names and lags. */
    lag?: HealthCheck & { behind: { name: string; lag: number }[] }
  }
}

const healthOptionsSchema = z.strictObject({
  maxLag: z.number().int().min(0).optional(),
  timeoutMs: ms(1).default(5_000),
})

/** How long the LISTEN connection may be away, in ms: a failover takes some seconds. */
const AWAY_MS = 10_000

const NONE_BEHIND = { behind: [] as { name: string; lag: number }[] }

/** Checks the store. */
export async function health(
  db: Database,
  listener: Listener,
  list: SubscriptionList,
  options: HealthOptions = {},
): Promise<Health> {
  const { maxLag, timeoutMs } = parse(healthOptionsSchema, options, 'options')
  const { clock } = db
  const late = () => {
    throw new TimeoutError('the database', timeoutMs)
  }
  const within = <T>(run: () => Promise<T>) => withTimeout(timeoutMs, run, late, { clock })
  const checks = await Promise.all([
    attempt(() => within(() => answers(db))),
    attempt(() => within(() => schema(db))),
    push(listener, clock.wall()),
    maxLag === undefined ? undefined : attempt(() => within(() => lag(list, maxLag)), NONE_BEHIND),
  ])
  const [database, installed, pushed, behind] = checks
  return {
    ok: checks.every((check) => check?.ok !== false),
    checks: { database, schema: installed, push: pushed, ...(behind ? { lag: behind } : {}) },
  }
}

/** The check, or that it failed. */
async function attempt<T extends object>(check: () => Promise<HealthCheck & T>, rest = {} as T) {
  try {
    return await check()
  } catch (error) {
    return { ok: false, message: explain(error), ...rest }
  }
}

async function answers(db: Database): Promise<HealthCheck> {
  await db.query(statements.encoding, {}) // a statement that runs whatever the schema is
  return { ok: true, message: 'the database answers' }
}

async function schema(db: Database): Promise<HealthCheck> {
  const found = await difference(db)
  if (found.files.length > 0) {
    const what = found.isThere ? 'is of an older version' : 'is not migrated'
    return { ok: false, message: `schema "${db.schema}" ${what}: call await meow.migrate() once` }
  }
  const { astray, ailments } = await examine(db)
  const wrong = astray ?? staleness(db, found) ?? ailments[0]?.problem
  return wrong === undefined
    ? { ok: true, message: 'the schema is up to date' }
    : { ok: false, message: wrong }
}

async function push({ status$ }: Listener, now: number): Promise<HealthCheck> {
  const { state, since, cause } = await firstValueFrom(status$)
  const isAway = state === 'reconnecting' && now - since.getTime() > AWAY_MS
  const because = cause === undefined ? '' : `: ${explain(cause)}`
  return { ok: !isAway && state !== 'closed', message: `${state} since ${since.toISOString()}${because}` }
}

async function lag(list: SubscriptionList, maxLag: number) {
  const behind = (await list.read())
    .filter(({ lag, status }) => lag > maxLag && status !== 'paused')
    .map(({ name, lag }) => ({ name, lag }))
  const names = behind.map(({ name, lag }) => `"${name}" by ${lag}`).join(', ')
  const message = names
    ? `behind by more than ${maxLag} events: ${names}`
    : `no lag is above ${maxLag} events`
  return { ok: behind.length === 0, message, behind }
}
