// What a statement of the library is, and how one is declared. statements.ts declares them all.
import type { Pieces } from '../core/pieces.ts'
import { sql } from './sql.ts'

/** What callers pass for a parameter, by PostgreSQL's name of its type. */
interface Values {
  boolean: boolean
  int: number
  bigint: number
  numeric: string
  'double precision': number
  text: string
  name: string
  regclass: string
  uuid: string
  json: string | Pieces
  jsonb: string
  timestamptz: string
}

/** `text?` takes null, too, and so do the items of `text?[]`. An array may also be passed as text, as the server sent it. */
type Value<T extends string> = T extends keyof Values
  ? Values[T]
  : T extends `${infer One}?`
    ? Value<One> | null
    : T extends `${infer Item}[]`
      ? readonly Value<Item>[] | string
      : never

type Split<List extends string> = List extends `${infer First}, ${infer Rest}`
  ? [First, ...Split<Rest>]
  : List extends ''
    ? []
    : [List]

/** The arguments for `'streamId text, limit bigint'`: a value for each name. */
export type Arguments<Parameters extends string> = string extends Parameters
  ? Readonly<Record<string, unknown>>
  : {
      readonly [P in Split<Parameters>[number] as P extends `${infer Name} ${string}`
        ? Name
        : never]: P extends `${string} ${infer Type}` ? Value<Type> : never
    }

type Texts<Names extends readonly string[]> = {
  readonly [I in keyof Names]: Names[I] extends `${string}?` ? string | null : string
}

/** A row with the columns `'position, error?'`: the text of each. Only those with `?` can be null. */
export type RowOf<Columns extends string> = Texts<Split<Columns>>

/** A statement with a fixed text, which is the same for all stores. */
export interface Statement<Parameters extends string = string, Columns extends string = string> {
  /** A name for people and tests. Connections prepare it under a hash of its text. */
  readonly name: string
  /** `meowmx.` stands for the store's schema, `{{event}}` for the columns of an event, `{{bytes}}` for its size in bytes. */
  readonly text: string
  /** Name and type of $1, $2 …: `'streamId text, limit bigint'`. */
  readonly parameters: Parameters
  /** The columns of its rows: `'position, error?'`. */
  readonly columns: Columns
  /** Whether it commits an append when it runs outside a transaction: then it is not cancelled when it is late. */
  readonly commits?: boolean
  /** Whether it may run while the schema is refused, because it manages the schema itself. */
  readonly always?: boolean
}

/** Any text. */
export function query<const P extends string, const C extends string>(
  name: string,
  text: string,
  parameters: P,
  columns: C,
): Statement<P, C> {
  return { name, text, parameters, columns }
}

/** A file of sql/queries. */
export function file<const P extends string, const C extends string>(
  name: string,
  parameters: P,
  columns: C,
): Statement<P, C> {
  return query(name, sql[`queries/${name}.sql`]!, parameters, columns)
}

/** One call of a function that returns one value. `?` after its name says that the value can be null. */
export function value<const N extends string, const P extends string>(
  column: N,
  parameters: P,
): Statement<P, N> {
  const name = column.replace('?', '')
  return query(name, `select meowmx.${call(name, parameters)}`, parameters, column)
}

/** One call of a function that returns rows. */
export function rows<const P extends string, const C extends string>(
  name: string,
  parameters: P,
  columns: C,
): Statement<P, C> {
  const text = `select ${columns.replaceAll('?', '')} from meowmx.${call(name, parameters)}`
  return query(name, text, parameters, columns)
}

/** Marks a statement that commits an append. */
export const commits = <S extends Statement>(statement: S): S => ({ ...statement, commits: true })

/** Marks a statement that manages the schema. */
export const always = <S extends Statement>(statement: S): S => ({ ...statement, always: true })

/** The names of a statement's parameters, in order. */
export const namesOf = (parameters: string): string[] =>
  parameters === '' ? [] : parameters.split(', ').map((one) => one.slice(0, one.indexOf(' ')))

const call = (name: string, parameters: string): string =>
  `${name}(${namesOf(parameters)
    .map((_, i) => `$${i + 1}`)
    .join(', ')})`
