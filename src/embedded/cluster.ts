// Says where a server's files are, and whether a data directory is in use.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { now, sleep } from '../core/clock.ts'
import { show } from '../core/errors.ts'
import { redact, redactText } from '../core/secrets.ts'

/** The directories of a server. The guard creates and removes them, because only the guard always outlives this process. */
export interface Cluster {
  readonly data: string
  /** Where initdb works. A complete cluster is then moved to `data`, so that an incomplete one is never used. */
  readonly scratch: string
  readonly durable: boolean
}

/** Returns a throw-away cluster, or the durable one in `dataDir`. Rejects if that directory holds something else. */
export async function locateCluster(dataDir?: string): Promise<Cluster> {
  const suffix = randomBytes(6).toString('hex')
  if (dataDir === undefined) {
    const scratch = join(await realpath(tmpdir()), `meowmx-pg-${suffix}`)
    return { data: join(scratch, 'data'), scratch, durable: false }
  }
  if (typeof dataDir !== 'string' || dataDir === '' || dataDir.includes('://'))
    throw new Error(`dataDir must be a path, got ${show(dataDir)}`)
  await mkdir(dirname(resolve(dataDir)), { recursive: true })
  const data = await realpath(dataDir).catch(() => resolve(dataDir))
  const entries: string[] = await readdir(data).catch((error) => {
    if (error.code === 'ENOENT') return []
    throw new Error(`dataDir ${show(data)} cannot be read: ${redactText(error.message)}`, {
      cause: redact(error),
    })
  })
  if (entries.length > 0 && !entries.includes('PG_VERSION'))
    throw new Error(
      `dataDir ${show(data)} is not empty, and not a data directory of PostgreSQL: choose another directory`,
    )
  return { data, scratch: `${data}.new-${suffix}`, durable: true }
}

/** Reads PostgreSQL's lock file `postmaster.pid`; undefined if there is none. */
export async function readLock(
  data: string,
): Promise<{ pid: number; port: string; status: string } | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  const pid = Number(lines[0])
  return pid > 0 ? { pid, port: lines[3] ?? '?', status: lines[7]?.trim() ?? 'starting' } : undefined
}

/**
 * Rejects if a server runs on `data`. If that server is stopping, it waits: the server of a killed process needs a moment. It
 * returns the process id of a stale lock, if another process has that id now: PostgreSQL would take that process for a server.
 * (Containers use the same few process ids again at each start.)
 */
export async function awaitUnused(data: string): Promise<number | undefined> {
  for (const begin = now(); ; await sleep(10)) {
    const lock = await readLock(data)
    // A server's working directory is its data directory. Without /proc, PostgreSQL's own, stricter check decides.
    const cwd = lock && (await readlink(`/proc/${lock.pid}/cwd`).catch(() => undefined))
    if (!lock || cwd === undefined) return undefined
    if (cwd !== data) return lock.pid
    if (now() - begin > (lock.status === 'stopping' ? 60_000 : 1000))
      throw new Error(
        `dataDir ${show(data)} is in use: a server runs there (pid ${lock.pid}, port ${lock.port}); stop it, or choose another directory`,
      )
  }
}
