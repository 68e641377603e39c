// Checks the JetStream stream that a relay publishes to, and creates it if that is wanted.
import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import type { BrokerContext } from './broker.ts'
import { RefusedError } from './broker.ts'
import type { NatsSettings } from './nats-options.ts'

const NANOS = 1_000_000
/** Error numbers of JetStream. */
const STREAM_NOT_FOUND = 10059
const NAME_IN_USE = 10058

/** Checks that a stream takes the subjects and drops repeats for long enough. Creates the stream if the option `create` is set. */
export async function checkStream(
  streams: JetStreamManager['streams'],
  settings: NatsSettings,
  { subjects, leaseMs, logger }: BrokerContext,
): Promise<void> {
  const { stream, timeoutMs } = settings
  const config = stream === undefined ? undefined : await findOrCreate(streams, stream, settings, subjects)
  for (const subject of subjects) {
    const taking = await namesOf(streams, subject)
    if (config ? !taking.includes(config.name) : taking.length === 0)
      throw new RefusedError(
        config
          ? `JetStream stream "${config.name}" does not take the subject ${subject}, only ${config.subjects.join(', ')}: ` +
              `run nats stream edit ${config.name} --subjects '${[...config.subjects, subject].join(',')}', or choose another prefix`
          : `no JetStream stream takes the subject ${subject}: run nats stream add ORDERS --subjects '${subject}' --dupe-window 2m ` +
              `(or give the options stream and create: true)`,
      )
  }
  // A relay that takes over repeats messages that were published up to a lease ago, and their answers may be as late.
  const minimumMs = 2 * (leaseMs + timeoutMs)
  for (const name of config ? [config.name] : await namesOf(streams, subjects[0]!)) {
    const windowMs = (await streams.info(name)).config.duplicate_window / NANOS
    if (windowMs < minimumMs)
      logger.warn(
        { stream: name, windowMs, minimumMs },
        `JetStream stream "${name}" drops repeats only for ${windowMs} ms, but a relay that takes over may repeat messages after ${minimumMs} ms: ` +
          `run nats stream edit ${name} --dupe-window ${Math.ceil(minimumMs / 1000)}s`,
      )
  }
}

async function findOrCreate(
  streams: JetStreamManager['streams'],
  name: string,
  { create, duplicateWindowMs }: NatsSettings,
  subjects: readonly string[],
): Promise<StreamConfig> {
  const find = () => streams.info(name).then(({ config }) => config)
  try {
    return await find()
  } catch (error) {
    if (codeOf(error) !== STREAM_NOT_FOUND) throw error
    if (!create)
      throw new RefusedError(
        `there is no JetStream stream "${name}": run nats stream add ${name} --subjects '${subjects.join(',')}' ` +
          `--dupe-window ${Math.ceil(duplicateWindowMs / 1000)}s (or give the option create: true)`,
        error,
      )
  }
  const wanted = {
    name,
    subjects: [...subjects],
    duplicate_window: duplicateWindowMs * NANOS,
    ...(create === true ? {} : create),
  }
  return streams.add(wanted).then(
    ({ config }) => config,
    (error) => {
      if (codeOf(error) === NAME_IN_USE) return find() // another client has just created it
      throw new RefusedError(`JetStream stream "${name}" cannot be created: ${error.message}`, error)
    },
  )
}

async function namesOf(streams: JetStreamManager['streams'], subject: string): Promise<string[]> {
  const names: string[] = []
  for await (const name of streams.names(subject)) names.push(name)
  return names
}

const codeOf = (error: unknown) => (error as { code?: unknown }).code
