import type { ParkedRow, Written } from '../../faults/audit.ts'
import type { Committed, Evidence, Subscribed } from './evidence.ts'
import { countUpTo, grouped, named, of, selects, stream } from './evidence.ts'

/** How far apart the database's clock and those of the processes may be, on one machine. */
const CLOCKS_MS = 1_000

/** A checkpoint never moves back, never passes an event that is not handled, and no event below it comes again. */
export function* checkpoints(evidence: Evidence): Generator<string> {
  const end = evidence.events.at(-1)?.position ?? 0
  const parkedRows = grouped(evidence.parkedRows, (row) => `${row.subscription} ${stream(row)}`)
  const written = grouped(evidence.written, ({ subscription }) => subscription)
  for (const subscription of evidence.subscriptions) {
    const isSelected = (event: Committed) => selects(subscription.categories, event)
    const partitionOf = ({ hash }: Committed) => hash % subscription.partitions
    const events = grouped(evidence.events.filter(isSelected), partitionOf)
    const own = written.get(subscription.name) ?? []
    for (const [partition, writes] of grouped(own, (write) => write.partition)) {
      const what = `${subscription.name}, partition ${partition}`
      for (const problem of monotone(writes, end)) yield `${what}: ${problem}`
      const passed = passing(evidence, subscription, events.get(partition) ?? [], writes, parkedRows)
      for (const problem of passed) yield `${what}: ${problem}`
      const repeated = repeats(evidence, subscription, events.get(partition) ?? [], writes, parkedRows)
      for (const problem of repeated) yield `${what}: ${problem}`
    }
  }
}

function* monotone(writes: readonly Written[], end: number): Generator<string> {
  let [position, epoch] = [0, 0]
  for (const write of writes) {
    if (write.position < position) yield `the checkpoint moved back from ${position} to ${write.position}`
    if (write.epoch < epoch) yield `the epoch moved back from ${epoch} to ${write.epoch}`
    if (write.position > end) yield `the checkpoint ${write.position} is past the last event, at ${end}`
    position = write.position
    epoch = write.epoch
  }
}

/** A stream that was parked at that time, from this event on. */
function isParked(parkedRows: Map<string, ParkedRow[]>, name: string, event: Committed, at: number): boolean {
  const row = parkedRows.get(`${name} ${stream(event)}`)?.findLast((row) => row.at <= at)
  return row !== undefined && row.position !== null && row.position <= event.position
}

/** Before a checkpoint is written, all events below it are handled or parked. */
function* passing(
  { lines }: Evidence,
  { name }: Subscribed,
  events: readonly Committed[],
  writes: readonly Written[],
  parkedRows: Map<string, ParkedRow[]>,
): Generator<string> {
  const doneAt = new Map<string, number>()
  for (const { subscription, id, at } of of(lines, 'done'))
    if (subscription === name) doneAt.set(id, Math.min(at, doneAt.get(id) ?? Infinity))
  let i = 0
  for (const { position, at, writer } of writes) {
    for (; i < events.length && events[i]!.position <= position; i++) {
      const event = events[i]!
      const isDone = (doneAt.get(event.id) ?? Infinity) <= at + CLOCKS_MS
      if (!isDone && !isParked(parkedRows, name, event, at))
        yield `the checkpoint ${position}, written by ${writer}, is past what is not handled: ${named(event)}`
    }
  }
}

/**
 * A process that wrote a checkpoint, or took the partition over at one, gets no event below it afterwards. A process that lost
 * its lease may still handle its deliveries, so this is checked only while it is the owner, and not for parked streams, whose
 * events come again in a replay.
 */
function* repeats(
  { lines }: Evidence,
  { name }: Subscribed,
  events: readonly Committed[],
  writes: readonly Written[],
  parkedRows: Map<string, ParkedRow[]>,
): Generator<string> {
  const byId = new Map(events.map((event) => [event.id, event]))
  const times = writes.map((write) => write.at)
  for (const { subscription, id, pid, at } of of(lines, 'begun')) {
    const event = byId.get(id)
    if (subscription !== name || !event || parkedRows.has(`${name} ${stream(event)}`)) continue
    const count = countUpTo(times, at - CLOCKS_MS)
    const now = writes[count - 1]
    const next = writes[count]
    const isOwner = now?.owner?.split(':')[1] === `${pid}` && (!next || next.epoch === now.epoch)
    if (isOwner && now.position >= event.position)
      yield `given again to its owner ${pid}, after the checkpoint ${now.position} was written: ${named(event)}`
  }
}
