import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { findIdentity } from '../../src/embedded/identity.ts'
import { until } from './until.ts'

export interface PgBouncer {
  /** The same database, through the pooler. */
  readonly url: string
  stop(): Promise<void>
}

/** The program's path, or undefined where there is none. */
export function findPgBouncer(): string | undefined {
  const places = [...(process.env.PATH ?? '').split(':'), '/usr/sbin'] // Debian's place, where ordinary users don't look
  return places.map((place) => join(place, 'pgbouncer')).find((path) => existsSync(path))
}

/** Names of one database, each with connections of its own: what a test does to its backends affects no other test. */
export const pools = Array.from({ length: 300 }, (_, n) => `pool_${n}`)

/**
 * Starts a PgBouncer in transaction mode before the server at `target`, whose database has the names of `pools`, too. Each transaction gets the connection that was idle
 * for longest, so that two in a row hardly ever share a session.
 */
export async function startPgBouncer(program: string, target: string): Promise<PgBouncer> {
  const server = new URL(target)
  const port = await freePort()
  const dir = await mkdtemp(join(tmpdir(), 'meowmx-pgbouncer-'))
  const place = `host=${server.hostname} port=${server.port || 5432}`
  const user = decodeURIComponent(server.username)
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
  await writeFile(join(dir, 'users'), `${quoted(user)} ${quoted(decodeURIComponent(server.password))}\n`)
  await writeFile(
    join(dir, 'config'),
    `[databases]
${pools.map((pool) => `${pool} = ${place} dbname=${decodeURIComponent(server.pathname.slice(1))}`).join('\n')}
* = ${place}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${dir}/users
auth_user = ${user}
pool_mode = transaction
server_round_robin = 1
default_pool_size = 20
server_idle_timeout = 5
max_client_conn = 1000
`,
  )
  const identity = await findIdentity(program, dir)
  if (identity.owner) {
    const [uid, gid] = identity.owner.split(':').map(Number) as [number, number]
    for (const file of [dir, join(dir, 'users'), join(dir, 'config')]) await chown(file, uid, gid)
  }
  // The shell waits for our end of its stdin, which the kernel closes however we end.
  const script = '"$@" & read -r end; kill $!; wait'
  const shell = spawn('sh', ['-c', script, 'sh', ...identity.prefix, program, '-q', join(dir, 'config')], {
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let said = ''
  shell.stderr.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  const ended = once(shell, 'close')
  const stop = async () => {
    shell.stdin.destroy()
    await ended
    await rm(dir, { recursive: true })
  }
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  try {
    await until(() => answers(url.href), { what: 'pgbouncer' })
  } catch (error) {
    await stop()
    throw new Error(`${(error as Error).message}: ${said}`)
  }
  return { url: url.href, stop }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  )
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
