// Keeps errors of telemetry away from the application.
import type * as Api from '@opentelemetry/api'

/** Runs `record`. If it throws, reports that to OpenTelemetry's own log and returns undefined. */
export function safely<T>({ diag }: Pick<typeof Api, 'diag'>, record: () => T): T | undefined {
  try {
    return record()
  } catch (error) {
    diag.error('meowmx: a span or a measurement is lost', error)
    return
  }
}
