import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { EmbeddedPostgres } from '../../src/embedded/index.ts'
import { startPostgres } from '../../src/embedded/index.ts'

/** PostgreSQL's programs for backups, which the embedded binaries lack. */
export interface Tools {
  readonly dir: string
  readonly major: number
}

const debian = '/usr/lib/postgresql'

/** The newest pg_dump, psql and pg_restore on the PATH or where Debian has them. */
export function findTools(): Tools | undefined {
  const versions = existsSync(debian)
    ? readdirSync(debian).map((version) => join(debian, version, 'bin'))
    : []
  return [...(process.env.PATH ?? '').split(':'), ...versions]
    .filter((dir) => ['pg_dump', 'psql', 'pg_restore'].every((name) => existsSync(join(dir, name))))
    .map((dir) => {
      const version = execFileSync(join(dir, 'pg_dump'), ['--version'], { encoding: 'utf8' })
      return { dir, major: Number(/\d+/.exec(version)![0]) }
    })
    .sort((a, b) => b.major - a.major)[0]
}

/** Starts the newest available server that these tools can dump; undefined: there is none. */
export async function dumpableServer({ major }: Tools): Promise<EmbeddedPostgres | undefined> {
  for (const version of [18, 17, 16, 15, 14].filter((version) => version <= major)) {
    const server = await startPostgres({ version, settings: { fsync: false } }).catch((error) => {
      if (!/found no PostgreSQL/.test(error.message)) throw error
    })
    if (server) return server
  }
  return undefined
}

/** Runs a command line of the guide with these tools on the PATH. Returns its output; rejects with what it printed if it fails. */
export async function shell({ dir }: Tools, command: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${dir}:${process.env.PATH}`, ...env },
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) throw new Error(`${command}: exit code ${code}\n${err}`)
  return out
}
