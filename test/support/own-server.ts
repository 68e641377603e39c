import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../../src/embedded/index.ts'

/** A server for one test, which may stop or kill it; it restarts at the same address. */
export interface OwnServer {
  readonly connectionString: string
  /** pg_ctl stop -m immediate: data that is not on disk is lost. */
  kill(): Promise<void>
  /** pg_ctl stop -m fast: connections are cut, and all is written. */
  stop(): Promise<void>
  /** The same data again, on the same port. */
  start(): Promise<void>
  /** Ends it, and removes all of it. */
  remove(): Promise<void>
}

export async function ownServer(
  settings: Readonly<Record<string, string | number | boolean>>,
): Promise<OwnServer> {
  const directory = await mkdtemp(join(tmpdir(), 'meowmx-own-'))
  const dataDir = join(directory, 'data')
  let server = await startPostgres({ dataDir, settings })
  const { connectionString } = server
  const { port } = new URL(connectionString)
  return {
    connectionString,
    kill: async () => {
      const pid = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).split('\n')[0]
      process.kill(Number(pid), 'SIGQUIT')
      await server.stop()
    },
    stop: () => server.stop(),
    start: async () => {
      server = await startPostgres({ dataDir, settings: { ...settings, port } })
    },
    remove: async () => {
      await server.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
