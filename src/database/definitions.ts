import { sql } from './sql.ts'

/** The numbered files of sql/, in order. Once released, a file is never edited: what changes comes in a new one. */
export const migrations = Object.keys(sql)
  .filter((file) => /^\d{3}_.*\.sql$/.test(file))
  .map((file) => ({ id: Number(file.slice(0, 3)), name: file }))

/** A function, with one of three kinds of body; a trigger; and what makes a trigger fire in every session. */
const STATEMENT =
  /^create (?:or replace )?(?:function (\w+)[\s\S]*?^(?:as \$\$$[\s\S]*?^\$\$|begin atomic$[\s\S]*?^end|return [\s\S]*?)|trigger [\s\S]*?);$|^alter table \w+ enable always trigger \w+;$/gm

const found = migrations.flatMap(({ name }) => [...sql[name]!.matchAll(STATEMENT)])

/** The functions of a store, by name. */
export const functionNames: readonly string[] = [
  ...new Set(found.flatMap(([, name]) => (name === undefined ? [] : [name]))),
]

/** The statements that make all functions and triggers of a store once more, in the schema that is the first of the search_path. */
export const redefinitions: readonly string[] = found.map(([statement]) =>
  statement.replace(/^create (?:or replace )?/, 'create or replace '),
)
