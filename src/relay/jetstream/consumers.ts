// The durable consumers of a subscription: one for each partition, with one message out at a time.
import type { ConsumerConfig, ConsumerInfo, JetStreamManager } from '@nats-io/jetstream'
import { SubscriptionMismatchError } from '../../subscriptions/errors.ts'
import { RefusedError } from '../broker.ts'
import { token } from '../names.ts'
import type { JetStreamSettings, SubscriptionSettings } from './options.ts'

const NANOS = 1_000_000
const STREAM_NOT_FOUND = 10059

/** The name of a partition's consumer. */
export const consumerOf = (name: string, partition: number): string => `${name}_${partition}`

/** Makes the consumers that do not exist, and checks those that do. */
export async function makeConsumers(
  manager: JetStreamManager,
  { stream, prefix, ackWaitMs }: JetStreamSettings,
  { name, selection, partitions, from }: SubscriptionSettings,
): Promise<void> {
  const existing = await listConsumers(manager, stream, name)
  const category = selection.categories.length === 1 ? token(selection.categories[0]!) : '*'
  const description = `meowmx subscription of ${partitions} partitions: ${selection.key}`
  const make = async (partition: number) => {
    const durable = consumerOf(name, partition)
    const there = existing.get(partition)?.config.ack_wait
    if (there === ackWaitMs * NANOS) return
    if (there !== undefined) await manager.consumers.update(stream, durable, { ack_wait: ackWaitMs * NANOS })
    else
      await manager.consumers.add(stream, {
        durable_name: durable,
        description: description.slice(0, 1_000),
        filter_subject: `${prefix}.${category}.${partition}.>`,
        ack_policy: 'explicit',
        ack_wait: ackWaitMs * NANOS,
        max_ack_pending: 1, // so the server keeps the order
        max_deliver: -1,
        ...start(from),
      })
  }
  for (const [, { config }] of existing)
    if (config.description !== description.slice(0, 1_000))
      throw new SubscriptionMismatchError(
        name,
        `subscription "${name}" of JetStream stream "${stream}" is a ${config.description ?? 'consumer of somebody else'}, but this is a ${description}: ` +
          'use the same categories, types and partitions, or another name',
      )
  const numbers = Array.from({ length: partitions }, (_, partition) => partition)
  await Promise.all(numbers.map(make))
}

/** What the server knows of a subscription's consumers, by partition. */
export async function listConsumers(
  manager: JetStreamManager,
  stream: string,
  name: string,
): Promise<Map<number, ConsumerInfo>> {
  const found = new Map<number, ConsumerInfo>()
  const prefix = `${name}_`
  try {
    for await (const info of manager.consumers.list(stream)) {
      const number = info.name.startsWith(prefix) ? info.name.slice(prefix.length) : ''
      if (/^\d+$/.test(number)) found.set(Number(number), info)
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== STREAM_NOT_FOUND) throw error
    throw new RefusedError(
      `there is no JetStream stream "${stream}": start the relay that publishes to it, with create: true, or run nats stream add`,
      error,
    )
  }
  return found
}

function start(
  from: SubscriptionSettings['from'],
): Pick<ConsumerConfig, 'deliver_policy'> & Partial<ConsumerConfig> {
  if (from === 'start') return { deliver_policy: 'all' }
  if (from === 'end') return { deliver_policy: 'new' }
  return { deliver_policy: 'by_start_time', opt_start_time: from.since.toISOString() }
}
