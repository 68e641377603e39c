import { metrics } from '@opentelemetry/api'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'

class OnDemand extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

/** OpenTelemetry's metrics SDK for this process; what was counted is collected when it is asked for. */
export function startMetering() {
  const reader = new OnDemand()
  const provider = new MeterProvider({ readers: [reader] })
  metrics.setGlobalMeterProvider(provider)
  /** All values of a metric whose attributes hold these. */
  const points = async (name: string, attributes: Record<string, unknown> = {}) => {
    const { resourceMetrics, errors } = await reader.collect()
    if (errors.length > 0) throw errors[0]
    return resourceMetrics.scopeMetrics
      .flatMap((scope) => scope.metrics)
      .filter(({ descriptor }) => descriptor.name === name)
      .flatMap(({ descriptor, dataPoints }) =>
        dataPoints.map((point) => ({ ...point, unit: descriptor.unit })),
      )
      .filter((point) => Object.entries(attributes).every(([key, value]) => point.attributes[key] === value))
  }
  return {
    points,
    /** The sum of its values; of a histogram, how many there are. */
    sum: async (name: string, attributes?: Record<string, unknown>): Promise<number> =>
      (await points(name, attributes)).reduce(
        (sum, { value }) => sum + (typeof value === 'number' ? value : value.count),
        0,
      ),
    /** Every key of an attribute, and every metric. */
    names: async () => {
      const { resourceMetrics } = await reader.collect()
      const all = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
      return {
        metrics: all.map(({ descriptor }) => descriptor.name).sort(),
        attributes: [
          ...new Set(all.flatMap(({ dataPoints }) => dataPoints.flatMap((p) => Object.keys(p.attributes)))),
        ].sort(),
      }
    },
    stop: async () => {
      metrics.disable()
      await provider.shutdown()
    },
  }
}
