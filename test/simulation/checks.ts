import type { RecordedEvent } from '../../src/events/event.ts'
import type { SimulatedDatabase, Stored } from './database.ts'

/** A promise that was broken; FAULTS.md has their numbers. */
export class Broken extends Error {
  override name = 'Broken'
}

/** What happened in a run: a run in which nothing happens proves nothing. */
export interface Counts {
  handled: number
  repeated: number
  /** Partitions that went to another executor. */
  takenOver: number
  /** Writes of a former owner. */
  refused: number
  parked: number
}

/** This many streams that fail without a success between them are an outage. */
export const OUTAGE_STREAMS = 2

/** Watches one run of the simulation for broken promises. */
export class Checks {
  readonly completed = new Set<number>()
  readonly counts: Counts = { handled: 0, repeated: 0, takenOver: 0, refused: 0, parked: 0 }
  readonly #discarded = new Set<number>()
  readonly #begun = new Set<number>()
  readonly #failed = new Set<string>() // streams, since the last success
  readonly #waiting = new Set<string>() // of these, what is not parked
  readonly #beside = new Map<string, Set<string>>() // the streams that waited, too, if the last failure of this stream was in an outage
  readonly #parked = new Map<string, Set<string>>() // the same, of streams that are parked
  readonly #at = new Map<string, string>() // what a machine's streams are at
  readonly #selects: (event: Pick<Stored, 'category'>) => boolean
  readonly #retrying = new Set<number>() // positions of deliveries that failed, and hold their partition's checkpoint back
  readonly #failedAlone = new Set<number>() // ever
  readonly #aboveRetry = new Set<number>() // events handled above such a delivery: their acks do not count as in flight
  readonly #repeats = new Set<string>()
  readonly #repeatsPerTakeover: number
  #first: Broken | undefined
  #database: SimulatedDatabase | undefined

  constructor(selects: (event: Pick<Stored, 'category'>) => boolean, repeatsPerTakeover: number) {
    this.#selects = selects
    this.#repeatsPerTakeover = repeatsPerTakeover
  }

  watch(database: SimulatedDatabase): void {
    this.#database = database
  }

  /** Remembered, and thrown by the scheduler: inside the engine it could be mistaken for an error of a handler. */
  broken(what: string): void {
    this.#first ??= new Broken(what)
  }

  throwIfBroken(): void {
    if (this.#first) throw this.#first
  }

  /** `before`: the earlier events of its stream in the same batch. */
  begins(
    machine: string,
    { position, streamId, version }: RecordedEvent,
    attempt: number,
    before?: RecordedEvent,
  ): void {
    const { events } = this.#database!
    if (this.#discarded.has(position)) this.broken(`I18: ${streamId}.${version} is discarded, and delivered`)
    // Another stream was still waiting, so more than one stream was failing.
    for (const [parked, beside] of this.#parked)
      if (beside.has(streamId)) this.broken(`I16: ${parked} is parked for a failure in an outage`)
    if (!events.some((event) => event.position === position)) this.broken(`I3: ${position} is not committed`)
    const key = `${machine} ${streamId}`
    const other = this.#at.get(key)
    if (before && before.version !== version - 1)
      this.broken(`I2: ${streamId}.${version} comes after ${streamId}.${before.version} in its batch`)
    if (other && !before) this.broken(`I2: ${machine} begins ${streamId}.${version} while at ${other}`)
    this.#at.set(key, `${streamId}.${version}`)
    // In an outage the attempts of a delivery are not counted, but it still counts as one repeat.
    const repeat = `${machine} ${position} ${this.counts.takenOver}`
    const isRepeat = this.completed.has(position) && attempt === 1 && !this.#aboveRetry.has(position)
    if (isRepeat && !this.#repeats.has(repeat)) this.counts.repeated++
    if (isRepeat) this.#repeats.add(repeat)
    const most = this.#repeatsPerTakeover * this.counts.takenOver
    if (this.counts.repeated > most) this.broken(`I6: ${this.counts.repeated} repeats, at most ${most}`)
    if (this.#begun.has(position)) return
    this.#begun.add(position)
    const previous = events.find((event) => event.streamId === streamId && event.version === version - 1)
    if (version > 0 && !before && !this.completed.has(previous!.position))
      this.broken(`I2: ${streamId}.${version} begins before the one before it is handled`)
  }

  /** `alone`: it was the only event of its batch. If not, its failure is that of any event of the batch, and shows nothing. */
  ends(machine: string, { position, streamId }: RecordedEvent, handled: boolean, alone = true): void {
    this.#at.delete(`${machine} ${streamId}`)
    if (!handled && !alone) return
    if (!handled) {
      this.#failedAlone.add(position)
      this.#retrying.add(position)
      this.#failed.add(streamId)
      this.#waiting.add(streamId)
      const others = [...this.#waiting].filter((other) => other !== streamId)
      this.#beside.set(streamId, new Set(this.#failed.size >= OUTAGE_STREAMS ? others : []))
      return
    }
    this.#failed.clear()
    this.#waiting.clear()
    this.completed.add(position)
    this.counts.handled++
    this.#retrying.delete(position)
    const partition = this.#database!.partitionOf(streamId)
    if (this.#retryingOf(partition).some((earlier) => earlier < position)) this.#aboveRetry.add(position)
  }

  /** A partition was given to an executor: for the `epoch`th time. It has not failed at anything yet. */
  granted(partition: number, epoch: number): void {
    if (epoch > 1) this.counts.takenOver++
    for (const position of this.#retryingOf(partition)) this.#retrying.delete(position)
  }

  #retryingOf(partition: number): number[] {
    const database = this.#database!
    return database.events
      .filter(
        ({ position, streamId }) =>
          this.#retrying.has(position) && database.partitionOf(streamId) === partition,
      )
      .map(({ position }) => position)
  }

  refused(): void {
    this.counts.refused++
  }

  /** `alone`: one machine has the only partition, so that it knows of all failures. */
  parked(streamId: string, position: number, replaying: boolean, alone: boolean): void {
    this.counts.parked++
    if (!replaying && !this.#failedAlone.has(position))
      this.broken(`I20: ${streamId} is parked at ${position}, which has not failed`)
    this.#waiting.delete(streamId)
    for (const beside of this.#parked.values()) beside.delete(streamId)
    for (const beside of this.#beside.values()) beside.delete(streamId)
    if (alone && !replaying) this.#parked.set(streamId, this.#beside.get(streamId) ?? new Set())
  }

  committed(rows: readonly Stored[]): void {
    for (const row of rows) {
      const { position } = this.#database!.checkpoints[this.#database!.partitionOf(row.streamId)]!
      if (this.#selects(row) && position >= row.position)
        this.broken(`I4: ${row.position} is committed below the checkpoint ${position}`)
    }
  }

  checkpoint(partition: number, epoch: number, before: number): void {
    const database = this.#database!
    const now = database.checkpoints[partition]!
    if (now.epoch !== epoch) this.broken(`I5: a write of epoch ${epoch} was accepted in epoch ${now.epoch}`)
    for (const { position, streamId } of this.#selected()) {
      if (position <= before || position > now.position || this.completed.has(position)) continue
      const parked = database.parked.get(streamId)
      if (database.partitionOf(streamId) === partition && !(parked && parked.position <= position))
        this.broken(`I4: the checkpoint passes ${position}, which is not handled`)
    }
  }

  /** An event was discarded: it must not be handled any more. */
  discarded(position: number): void {
    this.#discarded.add(position)
    this.completed.add(position)
  }

  /** Committed events that are not handled, not below a checkpoint, or parked. */
  get left(): string[] {
    const database = this.#database!
    return this.#selected()
      .filter(({ position, streamId }) => {
        const checkpoint = database.checkpoints[database.partitionOf(streamId)]!
        return (
          !this.completed.has(position) || checkpoint.position < position || database.parked.has(streamId)
        )
      })
      .map(({ position, streamId, version }) => `${streamId}.${version} at ${position}`)
  }

  #selected(): Stored[] {
    return this.#database!.events.filter(this.#selects)
  }
}
