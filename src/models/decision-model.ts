// The interface of a decision model, and how `decide` runs it: over several streams, by tags.
import { z } from 'zod'
import type { Appender, StreamWrite } from '../append/append.ts'
import type { AppendResult } from '../append/request.ts'
import { pauseAfter } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { ValidationError } from '../core/errors.ts'
import { clientSchema, methodSchema } from '../core/fields.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { parse } from '../core/validate.ts'
import { ConditionFailedError } from '../events/errors.ts'
import type { NewEvent, RecordedEvent, StreamRef } from '../events/event.ts'
import type { EventQuery } from '../events/query.ts'
import { checkQuery, matchesQuery } from '../events/query.ts'
import type { AnyCategory } from '../events/types.ts'
import type { QueryOptions, QueryResult } from '../read/query.ts'
import { viewOfCategories } from '../read/query.ts'

/** Events for one stream that a decision has led to. */
export interface Decided {
  stream: StreamRef
  events: NewEvent | readonly NewEvent[]
}

/**
 * Says how a command that depends on events of several streams becomes events. It finds what it depends on by tags. All functions
 * must be pure: they must not change their arguments, and they may be called any number of times.
 *
 * @example
 * const subscribe: DecisionModel<{ course: string; student: string }, RecordedEvent, { taken: number }> = {
 *   query: ({ course }) => ({ tags: [`course:${course}`], types: ['StudentSubscribed'] }),
 *   initial: { taken: 0 },
 *   evolve: ({ taken }) => ({ taken: taken + 1 }),
 *   decide: ({ course, student }, { taken }) => {
 *     if (taken >= 30) throw new Error('the course is full')
 *     const tags = [`course:${course}`, `student:${student}`]
 *     return { stream: { category: 'student', streamId: student }, events: { type: 'StudentSubscribed', data: {}, tags } }
 *   },
 * }
 */
export interface DecisionModel<C, E, S> {
  /** Zod categories, which give the events that `evolve` gets their types. Default: none; events are as they are stored. */
  readonly categories?: readonly AnyCategory[] | undefined
  /** Returns what the decision on a command depends on. */
  query(command: C): EventQuery
  /** The state without any event. */
  readonly initial: S
  /** Returns the state after one more event that matches the query. */
  evolve(state: S, event: E): S
  /** Returns the events that a command leads to, by streams; an empty array: none. `meow.decide` rejects with what it throws. */
  decide(command: C, state: S): Decided | readonly Decided[]
}

/** Options of `meow.decide` with a decision model. */
export interface ModelDecideOptions {
  /** How often to query and decide again if an event that matters was appended meanwhile. Default 3, minimum 0. */
  retries?: number | undefined
  /** Read and append inside this client's open transaction, which must be READ COMMITTED; the caller commits. Default: none. */
  client?: SqlClient | undefined
}

/** The result of `meow.decide` with a decision model. */
export interface ModelDecision<S> {
  /** The state after the new events. */
  state: S
  /** The results of the append, in the order of what was decided; empty if there was nothing to append. */
  results: AppendResult[]
}

const optionsSchema = z.strictObject({
  retries: z.number().int().min(0).max(10_000).default(3),
  client: clientSchema.optional(),
})
const modelSchema = z.looseObject({ query: methodSchema, evolve: methodSchema, decide: methodSchema })

/** Whether it is a decision model and not a decider of one stream. */
export const isDecisionModel = (value: unknown): value is DecisionModel<any, any, any> =>
  typeof value === 'object' && value !== null && 'query' in value

/** Checks what a model has decided. */
export function writesOf(decided: Decided | readonly Decided[]): readonly Decided[] {
  const list: readonly unknown[] = Array.isArray(decided) ? decided : [decided]
  list.forEach((one, i) => {
    if (typeof one !== 'object' || one === null || !('stream' in one) || !('events' in one))
      throw new ValidationError(
        Array.isArray(decided) ? `decided[${i}]` : 'decided',
        'must be { stream, events }, which decide has to return',
        one,
      )
  })
  return list as readonly Decided[]
}

/** Checks a model. */
export function checkModel(model: DecisionModel<any, any, any>): void {
  parse(modelSchema, model, 'model')
}

/** Reads by tags, as a store does. */
export type RunQuery = (query: EventQuery, options: QueryOptions) => Promise<QueryResult<any>>

/** Decides by models: queries, lets the model make events, appends them under the condition that nothing new matches. */
export class ModelDecisions {
  readonly #query: RunQuery
  readonly #appender: Pick<Appender, 'append' | 'appendAll'>
  readonly #clock: Pick<Clock, 'random' | 'sleep'>

  constructor(
    query: RunQuery,
    appender: Pick<Appender, 'append' | 'appendAll'>,
    clock: Pick<Clock, 'random' | 'sleep'>,
  ) {
    this.#query = query
    this.#appender = appender
    this.#clock = clock
  }

  async decide<C, S>(
    model: DecisionModel<C, any, S>,
    command: C,
    options: ModelDecideOptions = {},
  ): Promise<ModelDecision<S>> {
    checkModel(model)
    const { retries, client } = parse(optionsSchema, options, 'options')
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(model, command, client)
      } catch (error) {
        if (!(error instanceof ConditionFailedError) || attempt > retries) throw error
        await this.#clock.sleep(this.#clock.random() * pauseAfter(attempt, { firstMs: 2, maxMs: 100 }))
      }
    }
  }

  async #attempt<C, S>(
    model: DecisionModel<C, any, S>,
    command: C,
    client: SqlClient | undefined,
  ): Promise<ModelDecision<S>> {
    const query = model.query(command)
    const items = checkQuery(query)
    const { categories } = model
    const { events, seen } = await this.#query(query, { client, categories })
    const before = events.reduce<S>((state, event) => model.evolve(state, event), model.initial)
    const writes = writesOf(model.decide(command, before)) as readonly StreamWrite[]
    if (writes.every(({ events }) => Array.isArray(events) && events.length === 0))
      return { state: before, results: [] }
    const options = { failIf: { query, after: seen }, ...(client ? { client } : {}) }
    // A single write shares a transaction with other appends; several writes have a transaction of their own.
    const [only] = writes
    const results =
      only && writes.length === 1 && Object.keys(only).length === 2
        ? [await this.#appender.append(only.stream, only.events, options)]
        : await this.#appender.appendAll(writes, options)
    // The model chose ids of events that were appended before: the state that was read contains them.
    if (results.some(({ deduplicated }) => deduplicated)) return { state: before, results }
    const view = viewOfCategories(categories, 'model.categories')
    const matching = results
      .flatMap(({ events }) => events)
      .filter((event) => matchesQuery(items, event))
      .sort((a, b) => a.position - b.position)
    const known = (event: RecordedEvent) => (view && !('known' in event) ? view(event) : event)
    const state = matching.reduce<S>((state, event) => model.evolve(state, known(event)), before)
    return { state, results }
  }
}
