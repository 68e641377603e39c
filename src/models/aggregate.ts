// Loads aggregates from their streams, and saves what they have emitted.

import { z } from 'zod'
import type { Appender } from '../append/append.ts'
import type { AppendResult } from '../append/request.ts'
import { ValidationError } from '../core/errors.ts'
import { clientSchema, methodSchema } from '../core/fields.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { check, parse } from '../core/validate.ts'
import { isCategory } from '../events/category.ts'
import type { StreamRef } from '../events/event.ts'
import type { AnyCategory } from '../events/types.ts'
import type { Reader } from '../read/reader.ts'
import type { PendingEvents } from './event-buffer.ts'

/** A class whose instances are built from the events of one stream. */
export interface AggregateClass<A> {
  /** The category of its streams: a name, or a zod category, which types the events that the constructor gets. */
  readonly category: string | AnyCategory
  /** Gets the events of the stream in order; an empty list if the stream does not exist. */
  new (recorded: any[]): A
}

/** An object that `saveAggregate` can save. */
export interface Aggregate {
  /** The category of its stream: a name, or a zod category, which checks its events. */
  readonly category: string | AnyCategory
  readonly streamId: string
  /** Returns the events that it has emitted since it was loaded or saved. An `EventBuffer` has this method. */
  collectPendingEvents(): PendingEvents
}

/** How to load or save an aggregate. */
export interface AggregateOptions {
  /** A client with an open transaction: the aggregate is read or appended inside it. Default: none. */
  client?: SqlClient | undefined
}

const aggregateOptionsSchema = z.strictObject({ client: clientSchema.optional() })

/** The stream of a category, which may be a name or a zod category. */
export function streamOf(category: string | AnyCategory, streamId: string): StreamRef {
  return isCategory(category) ? (category as AnyCategory).stream(streamId) : { category, streamId }
}

/** Implements `loadAggregate` and `saveAggregate`. */
export class Aggregates {
  readonly #reader: Pick<Reader, 'load'>
  readonly #appender: Pick<Appender, 'append'>

  constructor(reader: Pick<Reader, 'load'>, appender: Pick<Appender, 'append'>) {
    this.#reader = reader
    this.#appender = appender
  }

  async load<A>(Class: AggregateClass<A>, streamId: string, options: AggregateOptions = {}): Promise<A> {
    check(methodSchema, Class, 'Class', '')
    const { client } = parse(aggregateOptionsSchema, options, 'options')
    const stream = streamOf(Class.category, streamId)
    return new Class(await this.#reader.load(stream, client ? { client } : {}))
  }

  async save(aggregate: Aggregate, options: AggregateOptions = {}): Promise<AppendResult> {
    if (typeof aggregate?.collectPendingEvents !== 'function')
      throw new ValidationError(
        'aggregate',
        'must have a method collectPendingEvents(); an EventBuffer provides one',
        aggregate,
      )
    const { client } = parse(aggregateOptionsSchema, options, 'options')
    const { category, streamId } = aggregate
    const pending = aggregate.collectPendingEvents()
    const { events, expectedVersion } = pending
    if (expectedVersion === undefined)
      throw new ValidationError(
        'aggregate.collectPendingEvents().expectedVersion',
        'must be the version that the aggregate was loaded at (-1 if its stream had no events): build the aggregate with an EventBuffer, or return the version',
        expectedVersion,
      )
    const result = await this.#appender.append(streamOf(category, streamId), events, {
      expectedVersion,
      ...(client ? { client } : {}),
    })
    pending.saved?.()
    return result
  }
}
