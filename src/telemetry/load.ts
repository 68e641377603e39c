import { readFileSync } from 'node:fs'
import type { Settings } from '../options.ts'
import { OpenTelemetry } from './open-telemetry.ts'
import type { Telemetry } from './telemetry.ts'

/** Whatever of OpenTelemetry is installed beside this library. undefined: nothing, or it is not wanted. */
export async function findTelemetry({ telemetry, schema, logger }: Settings): Promise<Telemetry | undefined> {
  if (!telemetry) return
  try {
    const api = await import('@opentelemetry/api')
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    return new OpenTelemetry(api, version, schema)
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND')
      logger.warn({ err: error }, 'OpenTelemetry is installed, but can not be used; going on without it')
    return
  }
}
