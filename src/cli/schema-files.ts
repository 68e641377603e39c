// Writes JSON Schema files, and compares them with schemas.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { breakingChanges } from '../events/schema-changes.ts'

const textOf = (schema: object) => `${JSON.stringify(schema, null, 2)}\n`

/** Writes each schema to its file, and returns the files. Others in the folder stay as they are. */
export async function write(folder: string, schemas: ReadonlyMap<string, object>): Promise<string[]> {
  for (const [file, schema] of schemas) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), textOf(schema))
  }
  return [...schemas.keys()]
}

/** What would break readers, and which files are not those of the schemas. */
export async function compare(folder: string, schemas: ReadonlyMap<string, object>) {
  const there = (await readdir(folder, { recursive: true }))
    .map((file) => file.split(sep).join('/'))
    .filter((file) => file.endsWith('.json'))
  const breaking: { file: string; what: string }[] = []
  const changed = [...schemas.keys()].filter((file) => !there.includes(file))
  for (const file of there.sort()) {
    const before = await readFile(join(folder, file), 'utf8')
    const schema = schemas.get(file)
    const found = schema
      ? breakingChanges(JSON.parse(before), schema)
      : ['there is no such type of event any more']
    for (const what of found) breaking.push({ file, what })
    if (schema && before !== textOf(schema)) changed.push(file)
  }
  return { breaking, changed }
}
