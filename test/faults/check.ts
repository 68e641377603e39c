import type { ParkedRow, Written } from './audit.ts'
import type { Begun } from './member.ts'
import type { Attempt } from './writers.ts'

export interface Committed {
  readonly position: number
  readonly id: string
  readonly category: string
  readonly streamId: string
  readonly version: number
  readonly partition: number
}

/** The evidence of a run: the content of the tables, and the output of its processes. */
export interface Evidence {
  readonly transactional: boolean
  readonly maxInFlight: number
  readonly selected: readonly string[]
  /** By position. */
  readonly events: readonly Committed[]
  readonly attempts: readonly Attempt[]
  readonly begun: readonly Begun[]
  readonly done: readonly { readonly id: string; readonly at: number }[]
  /** Ids in the table of effects, of a transactional run. */
  readonly effects: readonly string[]
  readonly written: readonly Written[]
  readonly parkedRows: readonly ParkedRow[]
}

type Check = (evidence: Evidence) => Generator<string>

const MOST = 5

function grouped<K, V>(items: readonly V[], key: (item: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return groups
}

/** The broken promises, as text; empty if all were kept. */
export function check(evidence: Evidence): string[] {
  const checks = { handled, inOrder, committed, checkpoints, fenced, duplicates, answers, once }
  return Object.values(checks).flatMap((check: Check) => {
    const broken = [...check(evidence)]
    const more =
      broken.length > MOST ? [`${broken[0]!.split(' ')[0]} … and ${broken.length - MOST} more`] : []
    return [...broken.slice(0, MOST), ...more]
  })
}

const due = ({ events, selected }: Evidence) => events.filter(({ category }) => selected.includes(category))
const named = ({ position, category, streamId, version }: Committed) =>
  `${category}/${streamId} version ${version} at ${position}`

/** I1: handled contains committed. */
function* handled(evidence: Evidence): Generator<string> {
  const ids = new Set(evidence.transactional ? evidence.effects : evidence.done.map(({ id }) => id))
  for (const event of due(evidence)) if (!ids.has(event.id)) yield `I1 never handled: ${named(event)}`
}

/** I2: each stream's events are first delivered in version order, and versions are dense. */
function* inOrder(evidence: Evidence): Generator<string> {
  const versions = new Map<string, number>()
  for (const event of evidence.events) {
    const key = `${event.category}/${event.streamId}`
    const next = versions.get(key) ?? 0
    if (event.version !== next) yield `I2 not dense: ${named(event)}, expected version ${next}`
    versions.set(key, event.version + 1)
  }
  const events = new Map(evidence.events.map((event) => [event.id, event]))
  const next = new Map<string, number>()
  const seen = new Set<string>()
  for (const { id } of [...evidence.begun].sort((a, b) => a.tick - b.tick)) {
    const event = events.get(id)
    if (!event || seen.has(id)) continue
    seen.add(id)
    const key = `${event.category}/${event.streamId}`
    const expected = next.get(key) ?? 0
    if (event.version !== expected) yield `I2 out of order: ${named(event)}, expected version ${expected}`
    next.set(key, event.version + 1)
  }
}

/** I3: delivered within committed, and selected. */
function* committed(evidence: Evidence): Generator<string> {
  const events = new Map(due(evidence).map((event) => [event.id, event]))
  for (const { position, id } of evidence.begun) {
    if (events.get(id)?.position !== position) yield `I3 delivered, but not committed: ${id} at ${position}`
  }
  for (const id of evidence.effects) if (!events.has(id)) yield `I3 an effect of what is not committed: ${id}`
}

/** I4: a checkpoint never moves back, and never past an event that is neither handled nor parked. */
function* checkpoints(evidence: Evidence): Generator<string> {
  const doneAt = new Map<string, number>()
  for (const { id, at } of evidence.done) doneAt.set(id, Math.min(at, doneAt.get(id) ?? Infinity))
  const parkedRows = grouped(evidence.parkedRows, ({ category, streamId }) => `${category}/${streamId}`)
  const isParked = ({ category, streamId, position }: Committed, at: number) => {
    const row = parkedRows.get(`${category}/${streamId}`)?.findLast((row) => row.at <= at)
    return row !== undefined && row.position !== null && row.position <= position
  }
  const events = grouped(due(evidence), ({ partition }) => partition)
  for (const [partition, writes] of grouped(evidence.written, ({ partition }) => partition)) {
    const own = events.get(partition) ?? []
    let [i, position] = [0, 0]
    for (const write of writes) {
      const what = `partition ${partition}, epoch ${write.epoch}, by ${write.writer}: to ${write.position}`
      if (write.position < position) yield `I4 back from ${position}: ${what}`
      position = Math.max(position, write.position)
      for (; i < own.length && own[i]!.position <= position; i++) {
        const event = own[i]!
        if (!((doneAt.get(event.id) ?? Infinity) <= write.at) && !isParked(event, write.at))
          yield `I4 past what is not handled: ${what}, past ${named(event)}`
      }
    }
  }
}

/** I5: only the owner of a partition writes its checkpoint, and each change of owner raises the epoch. */
function* fenced({ written }: Evidence): Generator<string> {
  for (const { partition, epoch, owner, oldOwner, oldEpoch, writer, position } of written) {
    if (oldEpoch === null) continue // the subscription was made
    const what = `partition ${partition}, epoch ${epoch}, to ${position}, owner ${owner}, before ${oldOwner}, by ${writer}`
    if (epoch < oldEpoch) yield `I5 back to an old epoch: ${what}, from ${oldEpoch}`
    if (owner !== null && owner !== oldOwner && epoch !== oldEpoch + 1)
      yield `I5 another owner, the same epoch: ${what}`
    if (Number((owner ?? oldOwner)?.split(':')[1]) !== writer)
      yield `I5 written by who does not own it: ${what}`
  }
}

/**
 * I6: with each partition that an owner loses, at most maxInFlight of it come again. A stream that waits for a retry lets
 * others flow, so that more may come again: partitions that had one are left out.
 */
function* duplicates({
  transactional,
  maxInFlight,
  events,
  begun,
  done,
  written,
}: Evidence): Generator<string> {
  if (transactional) return // a batch that runs again repeats the other events of the failed batch
  const partitionOf = new Map(events.map(({ id, partition }) => [id, partition]))
  const retried = new Set(begun.filter(({ attempt }) => attempt > 1).map(({ id }) => partitionOf.get(id)))
  const taken = written.filter(({ oldOwner, epoch, oldEpoch }) => oldOwner !== null && epoch !== oldEpoch)
  for (const [partition, all] of grouped(done, ({ id }) => partitionOf.get(id))) {
    const again = all.length - new Set(all.map(({ id }) => id)).size
    const takeovers = taken.filter((write) => write.partition === partition).length
    if (!retried.has(partition) && again > maxInFlight * takeovers)
      yield `I6 partition ${partition}: ${again} handled again, after ${takeovers} takeovers`
  }
}

/** I9: the answers to writers are true: done, refused, or unknown, and then all of its events were written or none. */
function* answers({ attempts, events }: Evidence): Generator<string> {
  const there = new Set(events.map(({ id }) => id))
  for (const { what, ids, outcome } of attempts) {
    const count = ids.filter((id) => there.has(id)).length
    const right =
      outcome === 'done'
        ? count === ids.length
        : outcome === 'refused'
          ? count === 0
          : count === 0 || count === ids.length
    if (!right || outcome === 'open') yield `I9 ${what}: ${outcome}, ${count} of ${ids.length} there: ${ids}`
  }
  const tried = new Set(attempts.flatMap(({ ids }) => ids))
  for (const event of events) if (!tried.has(event.id)) yield `I9 written by nobody: ${named(event)}`
}

/** Effects of a transactional handler: exactly once. */
function* once({ effects, transactional }: Evidence): Generator<string> {
  if (!transactional) return
  for (const [id, all] of grouped(effects, (id) => id))
    if (all.length > 1) yield `I6 an effect ${all.length} times: ${id}`
}
