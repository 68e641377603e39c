import { createHash } from 'node:crypto'
import { inInstallOrder } from './install-order.ts'
import { sql } from './sql.ts'

const filesOf = (folder: string) =>
  Object.entries(sql)
    .filter(([path]) => path.startsWith(folder))
    .map(([path, text]) => ({ file: path.slice(folder.length), text }))

/** A file of sql/schema: tables, indexes, sequences. Once released it is never edited: a change needs a new file. */
export interface SchemaFile {
  readonly id: number
  readonly name: string
  readonly text: string
}

export const schemaFiles: readonly SchemaFile[] = filesOf('schema/').map(({ file, text }) => ({
  id: Number(file.slice(0, 3)),
  name: file,
  text,
}))

/**
 * A file of sql/functions: a function, by its name, or a trigger, by table.trigger. It can be run again at any time. A second
 * function of the same name, with other types, has a dash and what it is for after it: append-jsonb.
 */
export interface Definition {
  readonly name: string
  readonly text: string
  readonly md5: string
}

/** All functions and triggers of a store, in the order in which they can be made. */
export const definitions: readonly Definition[] = inInstallOrder(
  filesOf('functions/').map(({ file, text }) => ({
    name: file.replace(/\.sql$/, ''),
    text,
    md5: createHash('md5').update(text).digest('hex'),
  })),
)

/** Whether this is the name of a trigger, and not of a function. */
export const isTrigger = (name: string): boolean => name.includes('.')

/** The name in SQL of the function that a definition makes. */
export const functionOf = (name: string): string => name.replace(/-.*/, '')

export const functionNames: readonly string[] = [
  ...new Set(definitions.map(({ name }) => functionOf(name)).filter((name) => !isTrigger(name))),
]
