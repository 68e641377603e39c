// The command `schema`.
import type { Command } from 'commander'
import type { AnyCategory } from '../events/types.ts'
import { UsageError } from './arguments.ts'
import type { Run } from './context.ts'

export function schema(program: Command, run: Run): void {
  program
    .command('schema')
    .description(
      'write the JSON Schemas of the zod categories that a module exports: <folder>/<category>/<type>.json',
    )
    .argument(
      '<module>',
      'a file that exports categories, such as ./dist/events.js; Node must be able to load it',
    )
    .argument('<folder>', 'of the JSON Schema files')
    .option('--check', 'write nothing; fail if what changed since the files were written would break readers')
    .addHelpText(
      'after',
      `
These break readers: a field is required that was not, or the other way round; a type of data or an allowed value changes; a type of
event is gone. With a higher version of its schema, anything may change.`,
    )
    .action(
      run(async (context, module: string, folder: string, { check }: { check?: true }) => {
        const { out, stderr } = context
        const schemas = await schemasOf(module)
        const files = await import('./schema-files.ts')
        if (!check) {
          for (const file of await files.write(folder, schemas)) await out.line(file)
          return
        }
        const { breaking, changed } = await files.compare(folder, schemas)
        for (const { file, what } of breaking) await out.say({ file, breaks: what }, `${file}: ${what}`)
        for (const file of changed) stderr.note(`${file} is not up to date: write it with meowmx schema`)
        if (breaking.length > 0) context.exit(1)
        else stderr.note('no change breaks readers')
      }),
    )
}

/** The schemas of all categories that a module exports, by the path of their files. */
async function schemasOf(module: string): Promise<Map<string, object>> {
  const [{ pathToFileURL }, { resolve }] = await Promise.all([import('node:url'), import('node:path')])
  const exported: Record<string, unknown> = await import(pathToFileURL(resolve(module)).href)
  const schemas = new Map<string, object>()
  for (const category of Object.values(exported).filter(isCategory))
    for (const [type, schema] of Object.entries(category.jsonSchema()))
      schemas.set(`${encodeURIComponent(category.name)}/${encodeURIComponent(type)}.json`, schema)
  if (schemas.size === 0)
    throw new UsageError(`${module} exports no category: export what defineCategory returns`)
  return schemas
}

/** By its form: the module may have another copy of this package. */
const isCategory = (value: unknown): value is AnyCategory =>
  typeof (value as AnyCategory | null)?.jsonSchema === 'function' &&
  typeof (value as AnyCategory).name === 'string'
