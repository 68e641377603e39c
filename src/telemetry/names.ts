// Names of attributes and operations in spans and metrics.
import { MeowError } from '../core/errors.ts'
import { isError } from '../core/kinds.ts'

/**
 * The names of OpenTelemetry's semantic conventions for messaging, version 1.45 (status: development):
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ and …/messaging-metrics/. A message is an event, a
 * destination is its category, and a consumer group is a subscription. Names that they do not define begin with `meowmx.`.
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

/** Attributes of every span and every measurement of an operation. Most tools still read `messaging.system`, the old name of `messaging.system.name`. */
export const operation = (name: OperationName, schema: string) => ({
  'messaging.system': 'meowmx',
  'messaging.system.name': 'meowmx',
  'messaging.operation.name': name,
  'messaging.operation.type': TYPES[name],
  [SCHEMA]: schema,
})

/** The value of `error.type`, which has few values: our code, a code of PostgreSQL or Node, or the name of the error's class. */
export function errorType(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown }
  if (error instanceof MeowError || (typeof code === 'string' && /^([0-9A-Z]{5}|E[A-Z]+)$/.test(code)))
    return String(code)
  return (isError(error) && error.constructor?.name) || '_OTHER'
}
