import type { z } from 'zod'
import type { EventModel, MODEL, NewEvent, RecordedEvent, StreamRef } from './event.ts'

declare const FRESH: unique symbol

/** A type of event whose schema has changed after its first events were appended. */
export interface VersionedSchema<Schema extends z.ZodType = z.ZodType> {
  /** The current schema. */
  schema: Schema
  /** The version of that schema, kept in `metadata.schemaVersion`. Default 1, minimum 1. */
  version?: number | undefined
  /**
   * One step from each older version to the next: `{ 1: (old) => next, 2: … }`. When an old event is read, the steps run one
   * after the other.
   */
  upcast?: { readonly [from: number]: (old: any) => unknown } | undefined
}

/** The definition of a category: a schema for each type of event. */
export type EventSchemas = { readonly [type: string]: z.ZodType | VersionedSchema }

type SchemaOf<D> = D extends z.ZodType ? D : D extends { schema: infer S extends z.ZodType } ? S : never

/** The data to append: the input of the schema, or its output if it has a codec. */
type DataOf<S extends z.ZodType> = HasCodec<S> extends true ? z.output<S> : z.input<S>

/** Searches level by level, up to 16, because a recursive schema never ends. */
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

/** The schemas directly inside a schema, as zod keeps them. */
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
export interface KnownEvent<Name extends string, Type extends string, Data, New = Data>
  extends RecordedEvent {
  category: Name
  type: Type
  /** The output of its schema. Data that was stored by an older version is upcast. */
  data: Data
  /** Distinguishes it from an `UnknownEvent`. Check this first, then `type`. */
  known: true
  /** Exists only in types: how such an event is appended. */
  readonly [FRESH]?: TypedNewEvent<Type, New>
}

/** An event, as it is stored, that its category does not define, that has a newer version, or that was erased. */
export interface UnknownEvent<Name extends string = string> extends RecordedEvent {
  category: Name
  /** The data as it is stored, without a check. */
  data: unknown
  known: false
}

/** An event of a category, to append. */
export interface TypedNewEvent<Type extends string, Data> extends NewEvent {
  type: Type
  data: Data
}

/** What can be passed with an event's data. */
export type NewEventOptions = Pick<NewEvent, 'id' | 'metadata' | 'tags'>

/** Any category, with any events. */
export interface AnyCategory {
  /** The name, as in streams and selectors. */
  readonly name: string
  /** A stream of this category. */
  stream(streamId: string): StreamRef
  /** The JSON Schemas of its events' data, as it is stored, by type. */
  jsonSchema(): Record<string, object>
  readonly [MODEL]: EventModel
}

/** The names that no type of event may have: the category's own properties, and `then`, which `await` would call. */
export type Reserved = {
  readonly name?: never
  readonly stream?: never
  readonly jsonSchema?: never
  readonly then?: never
}

/** A category with schemas, made by `defineCategory`. Without type arguments: any such category. */
export type Category<Name extends string = string, Schemas extends EventSchemas = any> =
  IsAny<Schemas> extends true ? AnyCategory : TypedCategory<Name, Schemas>

/** A category with the creators of its events. */
export type TypedCategory<Name extends string, Schemas extends EventSchemas> = {
  /** The name, as in streams and selectors. */
  readonly name: Name
  /** A stream of this category. Appends to it are checked, and events that are loaded from it are typed. */
  stream(streamId: string): StreamRef<TypedCategory<Name, Schemas>>
  /**
   * Returns the JSON Schema (draft 2020-12) of the data of each type, as it is stored, for other languages and for documents.
   * `x-version` is the version of the schema. What JSON Schema can't say, such as what a transform returns, is `{}`: anything.
   *
   * @example
   * const { OrderPlaced } = Order.jsonSchema()
   */
  jsonSchema(): Record<keyof Schemas & string, object>
  readonly [MODEL]: EventModel & Phantom<Name, Schemas>
} & {
  /** Makes an event of this type. Its data is checked when it is appended. */
  readonly [Type in keyof Schemas & string]: (
    data: DataOf<SchemaOf<Schemas[Type]>>,
    options?: NewEventOptions,
  ) => TypedNewEvent<Type, DataOf<SchemaOf<Schemas[Type]>>>
}

/** By type, the function that makes tags of an event's data. */
export type TagsOf<Schemas extends EventSchemas> = {
  readonly [Type in keyof Schemas & string]?: (data: z.output<SchemaOf<Schemas[Type]>>) => readonly string[]
}

/** Exists only in types: the events of a category. */
interface Phantom<Name extends string, Schemas extends EventSchemas> {
  readonly recorded?: Recorded<Name, Schemas>
  readonly fresh?: Fresh<Schemas>
}

type Recorded<Name extends string, Schemas extends EventSchemas> =
  | {
      [T in keyof Schemas & string]: KnownEvent<
        Name,
        T,
        z.output<SchemaOf<Schemas[T]>>,
        DataOf<SchemaOf<Schemas[T]>>
      >
    }[keyof Schemas & string]
  | UnknownEvent<Name>

type Fresh<Schemas extends EventSchemas> = {
  [T in keyof Schemas & string]: TypedNewEvent<T, DataOf<SchemaOf<Schemas[T]>>>
}[keyof Schemas & string]

type IsAny<T> = 0 extends 1 & T ? true : false
/** The category of a stream, or the category itself. */
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
 * The events of a category or of a stream as they are read: a union that `known` and then `type` narrow. For a plain stream:
 * `RecordedEvent`.
 *
 * @example
 * type OrderEvent = EventOf<typeof Order>
 */
export type EventOf<S> = Typed<CategoryOf<S>, 'recorded', RecordedEvent>

/**
 * What a decider of these events may decide: events of its zod category, or any. `E` is what `EventOf` returns.
 *
 * @example
 * type OrderDecided = DecidedOf<EventOf<typeof Order>>
 */
export type DecidedOf<E> = [FreshOf<E>] extends [never] ? NewEvent : FreshOf<E>

type FreshOf<E> =
  IsAny<E> extends true ? never : E extends { readonly [FRESH]?: infer N } ? NonNullable<N> : never

/** What can be appended to a stream, or to the streams of a category. For a plain stream: any `NewEvent`. */
export type NewEventOf<S> = Typed<CategoryOf<S>, 'fresh', NewEvent>

/**
 * The events that a selector selects: those of its zod categories and, if it also names other categories, unknown events. If it
 * names types, only those.
 */
export type SelectedEvent<C, T extends string = string> = [C] extends [string]
  ? RecordedEvent
  : AnyCategory extends C
    ? RecordedEvent
    : Selected<C, T>

type Selected<C, T extends string> = C extends string ? UnknownEvent<C> : OfTypes<EventOf<C>, T>

/** Of a known event, those types that are asked for; an unknown one may have any of them. */
type OfTypes<E, T extends string> = E extends { known: true; type: infer Type }
  ? Type extends T
    ? E
    : never
  : E

/**
 * The types of events that a selector may ask for: of zod categories those that they define and the reserved ones, which begin
 * with `$`; of other categories any.
 */
export type TypeOf<C> = AnyCategory extends C ? string : TypeOfOne<C>

type TypeOfOne<C> = C extends string
  ? string
  : EventOf<C> extends { known: boolean }
    ? Extract<EventOf<C>, { known: true }>['type'] | `$${string}`
    : string
