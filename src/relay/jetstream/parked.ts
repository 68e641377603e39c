// What is parked: a stream of JetStream, with one subject for each parked stream of events.
import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream'
import type { MsgHdrs } from '@nats-io/transport-node'
import { messageOf } from '../../core/describe.ts'
import type { RecordedEvent } from '../../events/event.ts'
import { headerText, token } from '../names.ts'
import type { Link } from './connection.ts'
import { decode } from './decode.ts'

const STREAM_NOT_FOUND = 10059
const NAME_IN_USE = 10058
const WRONG_SEQUENCE = 10071

/** A stream of events that is parked. */
export interface ParkedJetStream {
  readonly category: string
  readonly streamId: string
  /** The version and position of the event whose handler failed. */
  readonly version: number
  readonly position: number
  /** How often the handler was called for it. */
  readonly attempts: number
  /** The message of its last error. */
  readonly error: string
  /** How many events of the stream wait here. */
  readonly events: number
}

/** A message that is parked, and where it is. */
export interface ParkedMessage {
  readonly sequence: number
  readonly event: RecordedEvent
}

/**
 * @internal
 * The parked messages of one subscription. A stream is parked as long as a message is there:
 *
 *     <STREAM>_PARKED.<subscription>.<partition>.<category>.<stream id>
 *
 * Only who has the one message of a partition that is out writes here for that partition.
 */
export class Parked {
  readonly stream: string
  readonly #name: string
  readonly #link: Link
  readonly #manager: JetStreamManager

  constructor(stream: string, name: string, link: Link) {
    this.stream = stream
    this.#name = name
    this.#link = link
    this.#manager = link.manager
  }

  /** Creates the stream if it does not exist; it is as safe as the one that the messages come from. */
  async open(source: string): Promise<void> {
    const { streams } = this.#manager
    try {
      await streams.info(this.stream)
      return
    } catch (error) {
      if ((error as { code?: unknown }).code !== STREAM_NOT_FOUND) throw error
    }
    const { storage, num_replicas, placement } = (await streams.info(source)).config
    const config = { name: this.stream, subjects: [`${this.stream}.>`], storage, num_replicas }
    await streams.add({ ...config, ...(placement ? { placement } : {}) }).catch((error) => {
      if (error.code !== NAME_IN_USE) throw error
    })
  }

  subjectOf({ category, streamId }: Pick<RecordedEvent, 'category' | 'streamId'>, partition: number): string {
    return `${this.stream}.${this.#name}.${partition}.${token(category)}.${token(streamId)}`
  }

  /** The subjects of the parked streams of a partition. That nothing is parked is the usual answer, and a cheap one. */
  async of(partition: number): Promise<Set<string>> {
    const any = { last_by_subj: `${this.stream}.${this.#name}.${partition}.>` }
    if (!(await this.#manager.streams.getMessage(this.stream, any))) return new Set()
    return new Set((await this.subjects(partition)).keys())
  }

  /** The subjects of the parked streams, of one partition or of all, each with its number of messages. */
  async subjects(partition: number | '*'): Promise<Map<string, number>> {
    const filter = `${this.stream}.${this.#name}.${partition}.>`
    const { state } = await this.#manager.streams.info(this.stream, { subjects_filter: filter })
    return new Map(Object.entries(state.subjects ?? {}))
  }

  /**
   * Adds a message after those of its stream that are there. If it is there already, or a later one, nothing happens. The server
   * refuses the write of a process that was frozen meanwhile, and does not know what is there now.
   */
  async add(
    subject: string,
    event: RecordedEvent,
    headers: MsgHdrs,
    body: Uint8Array,
    failure?: { error: unknown; attempt: number },
  ): Promise<void> {
    for (;;) {
      const last = await this.#manager.streams.getMessage(this.stream, { last_by_subj: subject })
      if (last && decode(last.header, last.string()).position >= event.position) return
      const all = this.#link.headers()
      for (const key of headers.keys()) if (!key.startsWith('Nats-')) all.set(key, headers.get(key))
      all.set('Meowmx-Id', event.id)
      if (failure) {
        all.set('Meowmx-Parked-Error', headerText(messageOf(failure.error).slice(0, 1_000)))
        all.set('Meowmx-Parked-Attempts', String(failure.attempt))
      }
      try {
        await this.#link.client.publish(subject, body, {
          headers: all,
          expect: { streamName: this.stream, lastSubjectSequence: last?.seq ?? 0 },
        })
        return
      } catch (error) {
        if ((error as { code?: unknown }).code !== WRONG_SEQUENCE) throw error
      }
    }
  }

  /** The first message of a subject. */
  async first(subject: string): Promise<ParkedMessage | undefined> {
    const message = await this.#first(subject)
    return message ? { sequence: message.seq, event: decode(message.header, message.string()) } : undefined
  }

  /** The message is handled. */
  async remove({ sequence }: ParkedMessage): Promise<void> {
    await this.#manager.streams.deleteMessage(this.stream, sequence, false)
  }

  async list(): Promise<ParkedJetStream[]> {
    const found: ParkedJetStream[] = []
    for (const [subject, events] of await this.subjects('*')) {
      const message = await this.#first(subject)
      if (!message) continue
      const { category, streamId, version, position } = decode(message.header, message.string())
      const attempts = Number(message.header.get('Meowmx-Parked-Attempts'))
      const error = decodeURIComponent(message.header.get('Meowmx-Parked-Error'))
      found.push({ category, streamId, version, position, attempts, error, events })
    }
    return found.sort((a, b) => a.position - b.position)
  }

  #first(subject: string): Promise<StoredMsg | null> {
    return this.#manager.streams.getMessage(this.stream, { next_by_subj: subject, seq: 1 } as any)
  }
}
