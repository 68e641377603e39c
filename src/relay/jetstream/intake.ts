// Takes the messages of all partitions from JetStream, and hands them out as deliveries.
import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream'
import { sharedController } from '../../core/abort.ts'
import { backoff } from '../../core/backoff.ts'
import type { Clock } from '../../core/clock.ts'
import type { RecordedEvent } from '../../events/event.ts'
import { SubscriptionNotFoundError } from '../../subscriptions/errors.ts'
import { RefusedError } from '../broker.ts'
import type { Link } from './connection.ts'
import { consumerOf } from './consumers.ts'
import { decode } from './decode.ts'
import { HeldDelivery } from './delivery.ts'
import type { JetStreamSettings, SubscriptionSettings } from './options.ts'
import type { Parked } from './parked.ts'
import { REPLAY, replayPartition } from './replay.ts'

/** How long a request for a message waits at the server, and how often the server says that it waits. In ms. */
const PULL = { expires: 10_000, idle_heartbeat: 2_500 }
/** The pause after a failure of our own, such as a stream of parked messages that can't be written. In ms. */
const TROUBLE_MS = 1_000

/** Where the deliveries go. */
export interface Sink {
  deliver(delivery: HeldDelivery): void
  /** The subscription can't go on here. */
  failed(error: unknown): void
  /** A message came, or was settled. */
  changed(): void
}

export interface IntakeSettings {
  readonly settings: JetStreamSettings
  readonly subscription: SubscriptionSettings
  readonly clock: Clock
}

/**
 * The server has one message of a partition out at a time. So this process has the partition to itself while it holds one, and
 * nobody else changes what is parked of it:
 *
 *     message -> its category or type is not selected -> ack
 *             -> its stream is parked                 -> park it too, ack
 *             -> it asks for a replay                 -> hand out what is parked, in order; ack
 *             -> otherwise                            -> hand it out: ack, nak with a pause, or park and ack
 */
export class Intake {
  readonly #link: Link
  readonly #parked: Parked
  readonly #sink: Sink
  readonly #how: IntakeSettings
  readonly #stopping = sharedController()
  readonly #ended = sharedController()
  readonly #consuming = new Set<ConsumerMessages>()
  readonly #held = new Set<JsMsg>()
  /** By partition: the number of the last delivery, and what was parked then. */
  readonly #known = new Map<number, { delivered: number; parked: Set<string> }>()
  readonly #endWorking: () => void

  constructor(link: Link, parked: Parked, sink: Sink, how: IntakeSettings) {
    this.#link = link
    this.#parked = parked
    this.#sink = sink
    this.#how = how
    const tell = () => {
      for (const message of this.#held) quietly(() => message.working())
    }
    this.#endWorking = how.clock.every(Math.round(how.settings.ackWaitMs / 3), tell)
    for (let partition = 0; partition < how.subscription.partitions; partition++) this.#consume(partition)
  }

  /** How many messages this process holds. */
  get held(): number {
    return this.#held.size
  }

  /** Aborts when it begins to stop. */
  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  /** Takes no more messages. */
  stop(): void {
    this.#stopping.abort()
    for (const messages of this.#consuming) messages.close().catch(() => {})
  }

  /** What is still held comes again at once, here or elsewhere. */
  async end(): Promise<void> {
    this.stop()
    this.#ended.abort()
    this.#endWorking()
    for (const message of this.#held) quietly(() => message.nak())
    this.#held.clear()
    await this.#link.connection.flush().catch(() => {})
  }

  async #consume(partition: number): Promise<void> {
    const { settings, subscription, clock } = this.#how
    const { signal } = this.#stopping
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        const consumer = await this.#link.client.consumers.get(
          settings.stream,
          consumerOf(subscription.name, partition),
        )
        if (signal.aborted) return
        const messages = await consumer.consume({
          max_messages: 1,
          bind: true,
          ...PULL,
          callback: (message) => void this.#take(partition, message),
        })
        this.#consuming.add(messages)
        this.#watch(messages)
        if (signal.aborted) messages.close().catch(() => {})
        attempt = 1
        await messages.closed()
        this.#consuming.delete(messages)
      } catch (error) {
        settings.logger.debug(
          { err: error, partition },
          'a partition of JetStream is not consumed; trying again',
        )
      }
      await clock.sleep(backoff(attempt, clock), signal).catch(() => {})
    }
  }

  async #watch(messages: ConsumerMessages): Promise<void> {
    for await (const { type } of messages.status())
      if (type === 'consumer_deleted')
        this.#sink.failed(new SubscriptionNotFoundError(this.#how.subscription.name))
  }

  async #take(partition: number, message: JsMsg): Promise<void> {
    const { logger } = this.#how.settings
    if (this.#stopping.signal.aborted) return quietly(() => message.nak())
    this.#held.add(message)
    this.#sink.changed()
    try {
      await this.#handOut(partition, message)
    } catch (error) {
      logger.warn({ err: error, partition }, 'a message of JetStream could not be taken; it comes again')
      this.#nak(message, TROUBLE_MS)
    }
  }

  async #handOut(partition: number, message: JsMsg): Promise<void> {
    const { subscription, settings } = this.#how
    const { headers, info } = message
    const known = this.#known.get(partition)
    const isNext = known?.delivered === info.deliverySequence - 1 && info.deliveryCount === 1
    if (message.subject.endsWith(`.${REPLAY}`)) {
      if (headers?.get('Meowmx-Replay') === subscription.name) await this.#replay(partition, message)
      else if (known && isNext) known.delivered++
      return this.#ack(message)
    }
    let event: RecordedEvent
    try {
      event = decode(headers, message.string())
    } catch (error) {
      settings.logger.error(
        { err: error, subject: message.subject, sequence: info.streamSequence },
        'a message of JetStream is not one of a relay; it is passed over',
      )
      if (known && isNext) known.delivered++
      return this.#ack(message)
    }
    const partitions = headers?.get('Meowmx-Partitions')
    if (partitions !== String(subscription.partitions)) {
      this.#nak(message, TROUBLE_MS)
      this.#sink.failed(
        new RefusedError(
          `the relay of JetStream stream "${settings.stream}" publishes with subjectPartitions ${partitions || 'not set'}, but subscription "${subscription.name}" has partitions ${subscription.partitions}: give both the same number`,
        ),
      )
      return
    }
    if (!known || !isNext) {
      const parked = await this.#parked.of(partition)
      this.#known.set(partition, { delivered: info.deliverySequence, parked })
    } else known.delivered++
    if (!this.#selects(event)) return this.#ack(message)
    const subject = this.#parked.subjectOf(event, partition)
    if (this.#known.get(partition)!.parked.has(subject)) {
      await this.#parked.add(subject, event, headers!, message.data)
      return this.#ack(message)
    }
    const { deliveryCount: attempt } = info
    const signal = this.stopping
    this.#sink.deliver(
      new HeldDelivery(
        { event, attempt, redelivered: attempt > 1, partition, signal },
        {
          acked: (confirm) => this.#acked(message, confirm),
          nacked: (delayMs) => this.#nak(message, delayMs),
          parked: async (failure) => {
            try {
              if (!(await this.#isOurs(partition, message))) return
              await this.#parked.add(subject, event, headers!, message.data, failure)
              this.#known.get(partition)?.parked.add(subject)
              this.#ack(message)
            } catch (error) {
              this.#nak(message, TROUBLE_MS) // its handler runs once more, and then it is tried again
              throw error
            }
          },
        },
      ),
    )
  }

  /** Hand out what is parked of this partition, and hold its message meanwhile. */
  async #replay(partition: number, message: JsMsg): Promise<void> {
    const key = message.string()
    const { logger } = this.#how.settings
    const finished = await replayPartition(this.#parked, partition, key, {
      deliver: (delivery) => this.#sink.deliver(delivery),
      signal: this.stopping,
      ended: this.#ended.signal,
      clock: this.#how.clock,
    })
    this.#known.delete(partition) // the parked events are read again
    logger.info(
      { subscription: this.#how.subscription.name, partition, finished },
      'parked streams were replayed',
    )
    if (!finished) this.#nak(message, 0)
  }

  /** Whether the server has not acked the message meanwhile, because another process has handled it while this one was frozen. */
  async #isOurs(partition: number, message: JsMsg): Promise<boolean> {
    const { settings, subscription } = this.#how
    const name = consumerOf(subscription.name, partition)
    const { ack_floor } = await this.#link.manager.consumers.info(settings.stream, name)
    if (ack_floor.stream_seq < message.seq) return true
    this.#settled(message)
    return false
  }

  #selects({ category, type }: RecordedEvent): boolean {
    const { categories, types } = this.#how.subscription.selection
    return (categories.length === 0 || categories.includes(category)) && (!types || types.includes(type))
  }

  async #acked(message: JsMsg, confirm: boolean): Promise<void> {
    if (!confirm) return this.#ack(message)
    try {
      await message.ackAck()
    } finally {
      this.#settled(message)
    }
  }

  #ack(message: JsMsg): void {
    quietly(() => message.ack())
    this.#settled(message)
  }

  #nak(message: JsMsg, delayMs: number): void {
    quietly(() => message.nak(Math.ceil(delayMs)))
    this.#settled(message)
  }

  #settled(message: JsMsg): void {
    this.#held.delete(message)
    this.#sink.changed()
  }
}

/** The connection may be gone: then the message comes again. */
function quietly(send: () => void): void {
  try {
    send()
  } catch {}
}
