import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { now, sleep } from '../core/clock.ts'
import { show } from '../core/errors.ts'
import { redact, redactText } from '../core/secrets.ts'

/** Where a server's files are. The guard makes and removes the directories: only it outlives every end of ours. */
export interface Cluster {
  readonly data: string
  /** Where initdb works; a complete cluster is then moved to `data`, so a half-made one is never taken for a whole. */
  readonly scratch: string
  readonly durable: boolean
}

/** A throw-away cluster, or the durable one in `dataDir`; rejects where that holds something else. */
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
    throw new Error(`dataDir ${show(data)} can't be read: ${redactText(error.message)}`, {
      cause: redact(error),
    })
  })
  if (entries.length > 0 && !entries.includes('PG_VERSION'))
    throw new Error(
      `dataDir ${show(data)} is neither empty nor a PostgreSQL data directory: choose another one`,
    )
  return { data, scratch: `${data}.new-${suffix}`, durable: true }
}

/** PostgreSQL's lock file `postmaster.pid`, or undefined where there is none. */
export async function readLock(
  data: string,
): Promise<{ pid: number; port: string; status: string } | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  const pid = Number(lines[0])
  return pid > 0 ? { pid, port: lines[3] ?? '?', status: lines[7]?.trim() ?? 'starting' } : undefined
}

/**
 * Rejects where a server runs on `data`, unless it is just about to stop: that of a process that was killed takes a
 * moment. Returns the process id of a lock whose server is gone while another process got its number: PostgreSQL would
 * take that one for a server (containers reuse the same few numbers at each start).
 */
export async function awaitUnused(data: string): Promise<number | undefined> {
  for (const begin = now(); ; await sleep(10)) {
    const lock = await readLock(data)
    // A server works inside its data directory. Without /proc PostgreSQL's own, stricter check decides.
    const cwd = lock && (await readlink(`/proc/${lock.pid}/cwd`).catch(() => undefined))
    if (!lock || cwd === undefined) return undefined
    if (cwd !== data) return lock.pid
    if (now() - begin > (lock.status === 'stopping' ? 60_000 : 1000))
      throw new Error(
        `dataDir ${show(data)} is in use: a server runs there (pid ${lock.pid}, port ${lock.port})`,
      )
  }
}
