import { isMissing } from '../missing.ts'
import type { Settings } from '../options.ts'
import { version } from '../version.ts'
import { OpenTelemetry } from './open-telemetry.ts'
import type { Telemetry } from './telemetry.ts'

/** Whatever of OpenTelemetry is installed beside this library. undefined: nothing, or it is not wanted. */
export async function findTelemetry({ telemetry, schema, logger }: Settings): Promise<Telemetry | undefined> {
  if (!telemetry) return
  try {
    const api = await import('@opentelemetry/api')
    return new OpenTelemetry(api, version, schema)
  } catch (error) {
    if (!isMissing(error))
      logger.warn({ err: error }, 'OpenTelemetry is installed, but can not be used; going on without it')
    return
  }
}
