import type { BatchObservableCallback, Meter } from '@opentelemetry/api'
import { redactText } from '../core/secrets.ts'
import { GROUP, SCHEMA } from './names.ts'
import type { Standing } from './telemetry.ts'

/**
 * Gauges of how subscriptions stand: `standings` is asked when metrics are collected, and only then. What was observed once
 * an SDK tells for ever, so what has ended is observed as 0. Call what is returned when there is nobody to ask any more.
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
      'Events that are not acked: by this process, or, while it catches up, by all: take the maximum over processes.',
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
