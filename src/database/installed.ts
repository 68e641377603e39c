import type pg from 'pg'
import { SchemaError } from '../core/errors.ts'
import { version } from '../core/version.ts'
import type { Database } from './database.ts'
import type { Definition, SchemaFile } from './definitions.ts'
import { definitions, schemaFiles } from './definitions.ts'
import { statements } from './statements.ts'

/** In which ways a store differs from what this package installs. */
export interface Difference {
  /** Whether a schema file was ever applied. */
  readonly isThere: boolean
  /** Schema files that were not applied. */
  readonly files: readonly SchemaFile[]
  /** Functions and triggers that are not installed, or with another text. */
  readonly definitions: readonly Definition[]
  /** The names of functions and triggers that are installed, and that this package does not have. */
  readonly obsolete: readonly string[]
}

export const isUpToDate = ({ files, definitions, obsolete }: Difference): boolean =>
  files.length + definitions.length + obsolete.length === 0

/** What `migrate()` has to do. A store of a newer package is refused. */
export async function difference(db: Database, client?: pg.ClientBase): Promise<Difference> {
  const rows = await installed(db, client)
  const applied = rows.flatMap(([id]) => (id === null ? [] : [Number(id)]))
  const [newest, last] = [Math.max(0, ...applied), schemaFiles.at(-1)!.id]
  if (newest > last) refuse(db, `migration ${newest}, this one knows ${last}`)
  const texts = new Map<string, string>()
  for (const [, name, md5, by] of rows) {
    if (name === null || md5 === null || by === null) continue // a schema file
    if (isLater(by, version)) refuse(db, `${name} is of version ${by}, this one is ${version}`)
    texts.set(name, md5)
  }
  return {
    isThere: applied.length > 0,
    files: schemaFiles.filter(({ id }) => !applied.includes(id)),
    definitions: definitions.filter(({ name, md5 }) => texts.get(name) !== md5),
    obsolete: [...texts.keys()].filter((name) => !definitions.some((known) => known.name === name)),
  }
}

function refuse(db: Database, what: string): never {
  throw new SchemaError(
    db.schema,
    `schema "${db.schema}" was migrated by a newer meowmx (${what}): update this package`,
  )
}

/** A row for each schema file (its number), and one for each function and trigger (name, md5, version). */
async function installed(db: Database, client?: pg.ClientBase) {
  const tables = { migrations: `${db.quotedSchema}.migrations`, functions: `${db.quotedSchema}.functions` }
  const [row] = await db.query(statements.hasTables, tables, client)
  const [hasMigrations, hasFunctions] = row!
  if (hasMigrations !== 't') return []
  return db.query(hasFunctions === 't' ? statements.installed : statements.installedFiles, {}, client)
}

/** Whether version `a` comes after `b`. A release comes after its pre-releases, which are all alike. */
function isLater(a: string, b: string): boolean {
  const [one, other] = [a, b].map((version) => {
    const [, major, minor, patch, dash] = /^(\d+)\.(\d+)\.(\d+)(-?)/.exec(version) ?? []
    return [Number(major), Number(minor), Number(patch), dash ? 0 : 1]
  }) as [number[], number[]]
  const at = one.findIndex((part, i) => part !== other[i])
  return at >= 0 && one[at]! > other[at]!
}
