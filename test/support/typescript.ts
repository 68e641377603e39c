import { existsSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'

/** What Node must be given to run a TypeScript file: `spawn(process.execPath, [...typescript, file])`. */
export const typescript = ['--import', new URL('./typescript.js', import.meta.url).href]

/** The same for a file of `test/`: its bundle, which starts faster, if there is one (bundle.ts). */
export function program(file: string): string[] {
  const root = resolve(import.meta.dirname, '../..')
  const folder = process.env.MEOWMX_TEST_BUNDLES ?? ''
  const bundle = join(folder, relative(root, file).replace(/\.ts$/, '.mjs'))
  // A copy of the project, such as one with a planted defect, has inherited the folder of another.
  return folder.startsWith(root + sep) && existsSync(bundle) ? [bundle] : [...typescript, file]
}
