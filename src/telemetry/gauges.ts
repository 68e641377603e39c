// Gauges of the subscriptions of this process.
import type { BatchObservableCallback, Meter } from '@opentelemetry/api'
import { redactText } from '../core/secrets.ts'
import { GROUP, SCHEMA } from './names.ts'
import type { Standing } from './telemetry.ts'

/**
 * Makes gauges of the subscriptions of this process. `standings` is called only when metrics are collected. An SDK repeats an
 * observed value for ever, so a subscription that has ended is observed as 0. Call the returned function when the store closes.
 */
export function makeGauges(
  meter: Meter,
  schema: string,
  standings: () => Promise<readonly Standing[]> | undefined,
): () => void {
  const inFlight = meter.createObservableUpDownCounter('meowmx.subscription.in_flight', {
    unit: '{event}',
    description: 'Deliveries that this process has not acked.',
  })
  const lag = meter.createObservableGauge('meowmx.subscription.lag', {
    unit: '{event}',
    description:
      'Events that this process has not acked; while it catches up, events that nobody has acked: take the maximum over processes.',
  })
  const known = new Set<string>()
  let ended = false
  const forget = () => meter.removeBatchObservableCallback(callback, [inFlight, lag])
  const callback: BatchObservableCallback = async (result) => {
    const now = new Map<string, Standing>()
    for (const standing of (await (ended ? [] : standings())) ?? []) {
      now.set(standing.subscription, standing)
      known.add(standing.subscription)
    }
    for (const subscription of known) {
      const attributes = { [GROUP]: redactText(subscription), [SCHEMA]: schema }
      result.observe(inFlight, now.get(subscription)?.inFlight ?? 0, attributes)
      result.observe(lag, now.get(subscription)?.lag ?? 0, attributes)
    }
    if (ended) forget()
  }
  meter.addBatchObservableCallback(callback, [inFlight, lag])
  return () => {
    ended = true
    if (known.size === 0) forget()
  }
}
