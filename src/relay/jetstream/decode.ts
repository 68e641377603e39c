// Makes an event of a message that a relay has published.
import type { MsgHdrs } from '@nats-io/transport-node'
import type { RecordedEvent } from '../../events/event.ts'

/** A message has no headers of a relay, or some that can't be read. */
export class ForeignMessage extends Error {}

/** The event of a message, as the relay has read it from the store. */
export function decode(headers: MsgHdrs | undefined, body: string): RecordedEvent {
  const header = (name: string) => {
    const value = headers?.get(name)
    if (!value) throw new ForeignMessage(`it has no header ${name}`)
    return value
  }
  try {
    const metadata = headers?.get('Meowmx-Metadata')
    const tags = headers?.get('Meowmx-Tags')
    return {
      id: headers?.get('Meowmx-Id') || header('Nats-Msg-Id'),
      category: decodeURIComponent(header('Meowmx-Category')),
      streamId: decodeURIComponent(header('Meowmx-Stream')),
      version: Number(header('Meowmx-Version')),
      position: Number(header('Meowmx-Position')),
      type: decodeURIComponent(header('Meowmx-Type')),
      data: JSON.parse(body),
      metadata: metadata ? JSON.parse(metadata) : {},
      tags: tags ? JSON.parse(tags) : [],
      recordedAt: new Date(header('Meowmx-Recorded-At')),
    }
  } catch (error) {
    if (error instanceof ForeignMessage) throw error
    throw new ForeignMessage(`it can't be read: ${(error as Error).message}`, { cause: error })
  }
}
