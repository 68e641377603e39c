// Computes the state of a stream by folding its events, starting at a snapshot if there is one.

import { z } from 'zod'
import { clientSchema, versionSchema } from '../core/fields.ts'
import { MAX_INT } from '../core/numbers.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { parse } from '../core/validate.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { LoadOptions, Reader, StreamPage } from '../read/reader.ts'
import { streamOf } from './aggregate.ts'
import type { Decider } from './decider.ts'
import { checkDecider } from './decider.ts'
import type { Folded, Snapshots } from './snapshots.ts'

/** Options of `meow.state`. */
export interface StateOptions {
  /** Return the state before the event of this version (exclusive). Default: after all events. Minimum 0. */
  toVersion?: number | undefined
  /** Read inside this client's open transaction. Default: none. */
  client?: SqlClient | undefined
}

const stateOptionsSchema = z.strictObject({
  toVersion: versionSchema.optional(),
  client: clientSchema.optional(),
})

interface ReadingOptions {
  readonly client?: SqlClient | undefined
  readonly toVersion?: number | undefined
  readonly ask?: <T>(query: () => Promise<T>) => Promise<T>
}

/** A state, and the number of events that were folded to compute it. */
export interface Read<S> extends Folded<S> {
  readonly folded: number
}

/** Folds streams page by page, so that a stream of any length needs little memory. */
export class States {
  readonly #reader: Pick<Reader, 'loadPage'>
  readonly #snapshots: Pick<Snapshots, 'load'>

  constructor(reader: Pick<Reader, 'loadPage'>, snapshots: Pick<Snapshots, 'load'>) {
    this.#reader = reader
    this.#snapshots = snapshots
  }

  async state<S>(
    decider: Decider<any, any, S>,
    streamId: string,
    options: StateOptions = {},
  ): Promise<{ state: S; version: number }> {
    checkDecider(decider)
    const { toVersion, client } = parse(stateOptionsSchema, options, 'options')
    const { state, version } = await this.read(decider, streamId, { client, toVersion })
    return { state, version }
  }

  /** `ask` wraps each database query, for instance to retry it. Errors of `evolve` do not pass through it. */
  async read<S>(
    decider: Decider<any, any, S>,
    streamId: string,
    { client, toVersion, ask = (query) => query() }: ReadingOptions = {},
  ): Promise<Read<S>> {
    const snapshots = checkDecider(decider)
    const stream = streamOf(decider.category, streamId)
    let at: Folded<S> | undefined
    if (snapshots) at = await ask(() => this.#snapshots.load<S>(stream, snapshots, toVersion, client))
    at ??= { state: decider.initial, version: -1, position: 0 }
    let folded = 0
    const end = { ...(toVersion === undefined ? {} : { toVersion }), ...(client ? { client } : {}) }
    while (at.version < MAX_INT) {
      const range: LoadOptions = { ...end, fromVersion: at.version + 1 }
      const { events, more }: StreamPage = await ask(() => this.#reader.loadPage(stream, range))
      at = fold(decider, at, events)
      folded += events.length
      if (!more) break
    }
    return { ...at, folded }
  }
}

/** Folds events into a state. */
export function fold<S>(
  decider: Decider<any, any, S>,
  from: Folded<S>,
  events: readonly RecordedEvent[],
): Folded<S> {
  let { state, version, position } = from
  for (const event of events) {
    state = decider.evolve(state, event)
    ;({ version, position } = event)
  }
  return { state, version, position }
}
