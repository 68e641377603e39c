import type { z } from 'zod'
import type { EventModel, MODEL, NewEvent, RecordedEvent, StreamRef } from './event.ts'

/** A type of event whose schema has changed since its first events were appended. */
export interface VersionedSchema<Schema extends z.ZodType = z.ZodType> {
  /** The schema of now. */
  schema: Schema
  /** The version of that schema, kept in `metadata.schemaVersion`. Default 1, minimum 1. */
  version?: number | undefined
  /** From each older version to the next one: `{ 1: (old) => next, 2: … }`; run one after the other when an old event is read. */
  upcast?: { readonly [from: number]: (old: any) => unknown } | undefined
}

/** What a category is defined by: a schema for each type of event. */
export type EventSchemas = { readonly [type: string]: z.ZodType | VersionedSchema }

type SchemaOf<D> = D extends z.ZodType ? D : D extends { schema: infer S extends z.ZodType } ? S : never

/** What is given to append: what the schema takes, or, where it has a codec, what it returns. */
type DataOf<S extends z.ZodType> = HasCodec<S> extends true ? z.output<S> : z.input<S>

/** Level by level; a schema that holds itself has no last one. */
type HasCodec<S, Depth extends 0[] = []> = [S] extends [never]
  ? false
  : Depth['length'] extends 16
    ? false
    : true extends (
          S extends Definition<infer D>
            ? D extends { reverseTransform: unknown }
              ? true
              : false
            : false
        )
      ? true
      : HasCodec<S extends Definition<infer D> ? Within<D> : never, [...Depth, 0]>

type Definition<D> = { readonly _zod: { readonly def: D } }

/** The schemas right within one, as zod keeps them. */
type Within<D> =
  | (D extends { innerType: infer T } ? T : never)
  | (D extends { element: infer T } ? T : never)
  | (D extends { in: infer In; out: infer Out } ? In | Out : never)
  | (D extends { options: readonly (infer T)[] } ? T : never)
  | (D extends { left: infer L; right: infer R } ? L | R : never)
  | (D extends { items: readonly (infer T)[] } ? T : never)
  | (D extends { rest: infer T } ? T : never)
  | (D extends { keyType: infer K } ? K : never)
  | (D extends { valueType: infer V } ? V : never)
  | (D extends { shape: infer Shape } ? Shape[keyof Shape] : never)
  | (D extends { getter: () => infer T } ? T : never)

/** An event of a type that its category defines. */
export interface KnownEvent<Name extends string, Type extends string, Data> extends RecordedEvent {
  category: Name
  type: Type
  /** What its schema returned, as of now: upcast where it was stored by an older one. */
  data: Data
  /** Tells it from an `UnknownEvent`: ask this first, then `type`. */
  known: true
}

/** An event that its category does not define, or in a newer version, or that was erased: as it is stored. */
export interface UnknownEvent<Name extends string = string> extends RecordedEvent {
  category: Name
  /** As it is stored; nobody has checked it. */
  data: unknown
  known: false
}

/** An event of a category, to append. */
export interface TypedNewEvent<Type extends string, Data> extends NewEvent {
  type: Type
  data: Data
}

/** What can be given along with an event's data. */
export type NewEventOptions = Pick<NewEvent, 'id' | 'metadata'>

/** Any category, whatever its events. */
export interface AnyCategory {
  /** As streams and selectors have it. */
  readonly name: string
  /** A stream of this category. */
  stream(streamId: string): StreamRef
  readonly [MODEL]: EventModel
}

/** Types of events in a category: what its creators would hide is refused, as is `then`, which `await` would call. */
export type Reserved = { readonly name?: never; readonly stream?: never; readonly then?: never }

/** A kind of stream whose events have schemas, made by `defineCategory`; without arguments any of them. */
export type Category<Name extends string = string, Schemas extends EventSchemas = any> =
  IsAny<Schemas> extends true ? AnyCategory : TypedCategory<Name, Schemas>

/** A category with the creators of its events. */
export type TypedCategory<Name extends string, Schemas extends EventSchemas> = {
  /** As streams and selectors have it. */
  readonly name: Name
  /** A stream of this category: appends to it are checked, and what is loaded from it is typed. */
  stream(streamId: string): StreamRef<TypedCategory<Name, Schemas>>
  readonly [MODEL]: EventModel & Phantom<Name, Schemas>
} & {
  /** Makes an event of this type. Its data is checked when it is appended. */
  readonly [Type in keyof Schemas & string]: (
    data: DataOf<SchemaOf<Schemas[Type]>>,
    options?: NewEventOptions,
  ) => TypedNewEvent<Type, DataOf<SchemaOf<Schemas[Type]>>>
}

/** Only in types: the events of a category. */
interface Phantom<Name extends string, Schemas extends EventSchemas> {
  readonly recorded?: Recorded<Name, Schemas>
  readonly fresh?: Fresh<Schemas>
}

type Recorded<Name extends string, Schemas extends EventSchemas> =
  | { [T in keyof Schemas & string]: KnownEvent<Name, T, z.output<SchemaOf<Schemas[T]>>> }[keyof Schemas &
      string]
  | UnknownEvent<Name>

type Fresh<Schemas extends EventSchemas> = {
  [T in keyof Schemas & string]: TypedNewEvent<T, DataOf<SchemaOf<Schemas[T]>>>
}[keyof Schemas & string]

type IsAny<T> = 0 extends 1 & T ? true : false
/** The category that a stream is of, or a category itself. */
type CategoryOf<S> = S extends AnyCategory ? S : S extends StreamRef<infer C> ? C : unknown
type Typed<C, Key extends 'recorded' | 'fresh', Plain> =
  IsAny<C> extends true
    ? Plain
    : C extends { readonly [MODEL]: { readonly [K in Key]?: infer E } }
      ? IsAny<E> extends true
        ? Plain
        : unknown extends E
          ? Plain
          : NonNullable<E>
      : Plain

/**
 * The events of a category or of a stream as they are read: a union that `known` and then `type` narrow; of a plain stream
 * `RecordedEvent`.
 *
 * @example
 * type OrderEvent = EventOf<typeof Order>
 */
export type EventOf<S> = Typed<CategoryOf<S>, 'recorded', RecordedEvent>

/** What can be appended to a stream, or to the streams of a category; of a plain stream any `NewEvent`. */
export type NewEventOf<S> = Typed<CategoryOf<S>, 'fresh', NewEvent>

/**
 * The events that a selector with these categories selects: those of its zod categories, and, where it names others beside
 * them, unknown ones.
 */
export type SelectedEvent<C> = [C] extends [string]
  ? RecordedEvent
  : AnyCategory extends C
    ? RecordedEvent
    : Selected<C>

type Selected<C> = C extends string ? UnknownEvent<C> : EventOf<C>
