// Loads the packages of NATS, which are optional.
import { isMissing } from '../core/missing.ts'
import { RefusedError } from './broker.ts'

interface Packages {
  transport: Pick<typeof import('@nats-io/transport-node'), 'connect' | 'headers'>
  jetstream: Pick<typeof import('@nats-io/jetstream'), 'jetstream' | 'jetstreamManager'>
}

/** Loads the packages when they are needed; `what` needs them. */
export async function natsPackages(what: string): Promise<Packages> {
  try {
    // Each import is awaited on its own: only then does esbuild accept that a package is not installed.
    const transport = await import('@nats-io/transport-node')
    const jetstream = await import('@nats-io/jetstream')
    return { transport, jetstream }
  } catch (error) {
    if (!isMissing(error)) throw error
    throw new RefusedError(
      `${what} needs two packages: npm install @nats-io/transport-node @nats-io/jetstream`,
      error,
    )
  }
}
