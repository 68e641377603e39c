import { readdirSync, readFileSync } from 'node:fs'

/**
 * The SQL files, by their path below sql/. Here they are read when this module loads; in the build, .ci/bundle.js has
 * put the texts themselves in its place, so that a bundle needs no files beside it.
 */
export const sql: Readonly<Record<string, string>> = Object.fromEntries(
  readdirSync(new URL('../../sql/', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.sql'))
    .map((path) => path.replaceAll('\\', '/'))
    .sort()
    .map((path) => [path, readFileSync(new URL(`../../sql/${path}`, import.meta.url), 'utf8')]),
)
