// Loads OpenTelemetry if it is installed.
import type { Logger } from '../core/logger.ts'
import { isMissing } from '../core/missing.ts'
import { version } from '../core/version.ts'
import { OpenTelemetry } from './open-telemetry.ts'
import type { Telemetry } from './telemetry.ts'

/** The options of `connect` that matter here. */
interface Wanted {
  readonly telemetry: boolean
  readonly schema: string
  readonly logger: Logger
}

/** Returns telemetry if `@opentelemetry/api` is installed and the option `telemetry` is true; otherwise undefined. */
export async function findTelemetry({ telemetry, schema, logger }: Wanted): Promise<Telemetry | undefined> {
  if (!telemetry) return
  try {
    const api = await import('@opentelemetry/api')
    return new OpenTelemetry(api, version, schema)
  } catch (error) {
    if (!isMissing(error))
      logger.warn(
        { err: error },
        'OpenTelemetry is installed, but cannot be loaded; the store works without it',
      )
    return
  }
}
