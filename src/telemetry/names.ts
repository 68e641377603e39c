import { MeowError } from '../core/errors.ts'
import { isError } from '../core/kinds.ts'

/**
 * The names of OpenTelemetry's semantic conventions for messaging, as of 1.45 (in development, as they have long been):
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ and …/messaging-metrics/. Here a message is an
 * event, a destination its category, a consumer group a subscription. What they have no word for is called `meowmx.…`.
 */
export const DESTINATION = 'messaging.destination.name'
export const PARTITION = 'messaging.destination.partition.id'
export const GROUP = 'messaging.consumer.group.name'
export const COUNT = 'messaging.batch.message_count'
export const MESSAGE = 'messaging.message.id'
export const CONVERSATION = 'messaging.message.conversation_id'
export const ERROR = 'error.type'
export const SCHEMA = 'meowmx.schema'
export const STREAM = 'meowmx.stream_id'
export const TYPE = 'meowmx.event.type'
export const VERSION = 'meowmx.version'
export const POSITION = 'meowmx.position'
export const ATTEMPT = 'meowmx.attempt'

const TYPES = { append: 'send', load: 'receive', read: 'receive', process: 'process' } as const
export type OperationName = keyof typeof TYPES

/** What every span and every measure of an operation says. `messaging.system` was renamed; most tools still read the old. */
export const operation = (name: OperationName, schema: string) => ({
  'messaging.system': 'meowmx',
  'messaging.system.name': 'meowmx',
  'messaging.operation.name': name,
  'messaging.operation.type': TYPES[name],
  [SCHEMA]: schema,
})

/** Of few values, so that it can be counted by: our code, PostgreSQL's or Node's, or the name of the error's class. */
export function errorType(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown }
  if (error instanceof MeowError || (typeof code === 'string' && /^([0-9A-Z]{5}|E[A-Z]+)$/.test(code)))
    return String(code)
  return (isError(error) && error.constructor?.name) || '_OTHER'
}
