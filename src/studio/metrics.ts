// The metrics of the studio for Prometheus. Their names are public.
import type { CategoryInfo } from '../read/reader.ts'
import type { SubscriptionInfo } from '../subscriptions/admin/subscriptions.ts'
import type { Family, SampleOf } from './prometheus.ts'
import type { StudioQueries } from './studio-queries.ts'

/** How many categories and subscriptions get series of their own, because Prometheus keeps each series for long. */
const MOST_SERIES = 1_000
const STATES = ['listening', 'reconnecting', 'polling', 'closed']

/** All metrics. If a query fails, its metrics are left out, and `up` is 0 for it. */
export async function metricsOf(queries: StudioQueries): Promise<Family[]> {
  const asked = ['categories', 'subscriptions', 'stallers', 'horizon'] as const
  const [categories, subscriptions, stallers, horizon] = await Promise.allSettled([
    queries.categories.get(),
    queries.subscriptions.get(),
    queries.stallers.get(),
    queries.horizon.get(),
  ])
  const up = [categories, subscriptions, stallers, horizon].map(
    ({ status }, i): SampleOf => [{ question: asked[i]! }, status === 'fulfilled' ? 1 : 0],
  )
  return [
    gauge('up', 'Whether the store answered this query the last time.', up),
    ...(categories.status === 'fulfilled'
      ? ofCategories(categories.value, horizon.status === 'fulfilled' ? horizon.value : 0)
      : []),
    ...(horizon.status === 'fulfilled'
      ? [gauge('horizon', 'The position up to which nothing can still appear.', [[{}, horizon.value]])]
      : []),
    ...(subscriptions.status === 'fulfilled' ? ofSubscriptions(subscriptions.value) : []),
    ...(stallers.status === 'fulfilled' ? ofStallers(stallers.value) : []),
    ...ofListener(queries),
  ]
}

const gauge = (name: string, help: string, samples: readonly SampleOf[]): Family => ({
  name,
  type: 'gauge',
  help,
  samples,
})

/** The counts may be older than the horizon, and events exist up to the horizon. So the last position is the higher one. */
function ofCategories(categories: readonly CategoryInfo[], horizon: number): Family[] {
  const most = [...categories].sort((a, b) => b.events - a.events).slice(0, MOST_SERIES)
  const each = (value: (info: CategoryInfo) => number) =>
    most.map((info): SampleOf => [{ category: info.category }, value(info)])
  const last = categories.reduce((max, { lastPosition }) => Math.max(max, lastPosition), horizon)
  return [
    gauge(
      'categories',
      `Number of categories; the ${MOST_SERIES} with the most events have series of their own.`,
      [[{}, categories.length]],
    ),
    {
      name: 'events_total',
      type: 'counter',
      help: 'Number of events in a category.',
      samples: each(({ events }) => events),
    },
    gauge(
      'streams',
      'Number of streams in a category.',
      each(({ streams }) => streams),
    ),
    gauge('last_position', 'The position of the last event; above the horizon while an append stays open.', [
      [{}, last],
    ]),
  ]
}

function ofSubscriptions(subscriptions: readonly SubscriptionInfo[]): Family[] {
  const some = subscriptions.slice(0, MOST_SERIES)
  const each = (name: string, help: string, value: (info: SubscriptionInfo) => number | undefined) =>
    gauge(
      `subscription_${name}`,
      help,
      some.flatMap((info): SampleOf[] => {
        const number = value(info)
        return number === undefined ? [] : [[{ subscription: info.name }, number]]
      }),
    )
  return [
    gauge('subscriptions', 'Number of durable subscriptions.', [[{}, subscriptions.length]]),
    each('position', 'The lowest position of its partitions.', ({ position }) => position),
    each(
      'lag_events',
      'Committed events that it has not handled yet; large numbers are estimates.',
      ({ lag }) => lag,
    ),
    each('lag_is_estimate', 'Whether the lag is an estimate.', ({ lagIsEstimate }) => Number(lagIsEstimate)),
    each(
      'held_back_events',
      'Events of the lag that an open append holds back.',
      ({ heldBack }) => heldBack.events,
    ),
    each(
      'held_back_seconds',
      'For how long the first event that is held back has waited.',
      ({ heldBack }) => heldBack.seconds,
    ),
    each('parked_events', 'Parked events; large numbers are estimates.', ({ parked }) => parked),
    each(
      'parked_is_estimate',
      'Whether the number of parked events is an estimate.',
      ({ parkedIsEstimate }) => Number(parkedIsEstimate),
    ),
    each('parked_streams', 'Parked streams; always exact.', ({ parkedStreams }) => parkedStreams),
    each('partitions', 'Partitions that executors share.', ({ partitions }) => partitions.length),
    each(
      'partitions_owned',
      'Partitions that an executor owns.',
      ({ partitions }) => owners(partitions).length,
    ),
    each(
      'executors',
      'Executors that own a partition.',
      ({ partitions }) => new Set(owners(partitions)).size,
    ),
    each(
      'oldest_lease_timestamp_seconds',
      'When the first of its leases expires if it is not renewed.',
      ({ partitions }) => {
        const ends = partitions.flatMap(({ leaseUntil }) =>
          leaseUntil ? [leaseUntil.getTime() / 1_000] : [],
        )
        return ends.length > 0 ? Math.min(...ends) : undefined
      },
    ),
  ]
}

const owners = (partitions: SubscriptionInfo['partitions']) => partitions.flatMap(({ owner }) => owner ?? [])

function ofStallers(stallers: readonly { pid: number | null; since: Date | null }[]): Family[] {
  const begun = stallers.flatMap(({ since }) => (since ? [since.getTime() / 1_000] : []))
  return [
    gauge(
      'stallers',
      'Blocking transactions (open appends that hold the horizon back), counted once for each category.',
      [[{}, stallers.length]],
    ),
    gauge(
      'oldest_staller_timestamp_seconds',
      'When the oldest blocking transaction began.',
      begun.length > 0 ? [[{}, Math.min(...begun)]] : [],
    ),
  ]
}

function ofListener({ listener, reconnects }: StudioQueries): Family[] {
  return [
    gauge(
      'listener_state',
      'State of push: 1 for the current state, 0 for the others.',
      STATES.map((state) => [{ state }, listener.state === state ? 1 : 0]),
    ),
    gauge('listener_state_since_timestamp_seconds', 'Since when push is in that state.', [
      [{}, listener.since.getTime() / 1_000],
    ]),
    {
      name: 'listener_reconnects_total',
      type: 'counter',
      help: 'How often push was lost since this process began.',
      samples: [[{}, reconnects]],
    },
  ]
}
