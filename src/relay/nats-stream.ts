import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import type { BrokerContext } from './broker.ts'
import { RefusedError } from './broker.ts'
import type { NatsSettings } from './nats-options.ts'

const NANOS = 1_000_000
/** JetStream's numbers of errors. */
const STREAM_NOT_FOUND = 10059
const NAME_IN_USE = 10058

/** See that a stream takes what is to be published, and drops repeats for long enough; make it where that is asked for. */
export async function checkStream(
  streams: JetStreamManager['streams'],
  settings: NatsSettings,
  { subjects, leaseMs, logger }: BrokerContext,
): Promise<void> {
  const { stream, timeoutMs } = settings
  const config = stream === undefined ? undefined : await named(streams, stream, settings, subjects)
  for (const subject of subjects) {
    const takers = await namesOf(streams, subject)
    if (config ? !takers.includes(config.name) : takers.length === 0)
      throw new RefusedError(
        config
          ? `JetStream stream "${config.name}" does not take the subject ${subject}, only ${config.subjects.join(', ')}: ` +
              `nats stream edit ${config.name} --subjects '${[...config.subjects, subject].join(',')}', or another prefix`
          : `no JetStream stream takes the subject ${subject}: nats stream add ORDERS --subjects '${subject}' --dupe-window 2m ` +
              `(or the option stream with create: true)`,
      )
  }
  // Whoever takes over repeats what was published a lease before, and an answer may have been as long in coming.
  const leastMs = 2 * (leaseMs + timeoutMs)
  for (const name of config ? [config.name] : await namesOf(streams, subjects[0]!)) {
    const windowMs = (await streams.info(name)).config.duplicate_window / NANOS
    if (windowMs < leastMs)
      logger.warn(
        { stream: name, windowMs, leastMs },
        `JetStream stream "${name}" drops repeats for ${windowMs} ms only; a relay that takes over may repeat after ${leastMs} ms: ` +
          `nats stream edit ${name} --dupe-window ${Math.ceil(leastMs / 1000)}s`,
      )
  }
}

async function named(
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
        `there is no JetStream stream "${name}": nats stream add ${name} --subjects '${subjects.join(',')}' ` +
          `--dupe-window ${Math.ceil(duplicateWindowMs / 1000)}s (or the option create: true)`,
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
      if (codeOf(error) === NAME_IN_USE) return find() // somebody was faster
      throw new RefusedError(`JetStream stream "${name}" can not be made: ${error.message}`, error)
    },
  )
}

async function namesOf(streams: JetStreamManager['streams'], subject: string): Promise<string[]> {
  const names: string[] = []
  for await (const name of streams.names(subject)) names.push(name)
  return names
}

const codeOf = (error: unknown) => (error as { code?: unknown }).code
