import { causedBy } from '../events/event-context.ts'
import type { Cause } from './reaction.ts'

/** What a timer keeps of the input that scheduled it, so that its effects belong to the same correlation. */
export function inheritedCause(cause: Cause): Cause {
  const { causationId: _, ...metadata } = causedBy(cause)
  return { id: cause.id, metadata }
}
