import type { Logger } from '../core/logger.ts'
import { isMissing } from '../core/missing.ts'
import { version } from '../core/version.ts'
import { OpenTelemetry } from './open-telemetry.ts'
import type { Telemetry } from './telemetry.ts'

/** What of the options of `connect` decides it. */
interface Wanted {
  readonly telemetry: boolean
  readonly schema: string
  readonly logger: Logger
}

/** Whatever of OpenTelemetry is installed beside this library. undefined: nothing, or it is not wanted. */
export async function findTelemetry({ telemetry, schema, logger }: Wanted): Promise<Telemetry | undefined> {
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
