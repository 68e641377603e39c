import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../../src/embedded/index.ts'
import { until } from './until.ts'

/** A primary and its standby, streaming; without fsync. */
export interface Pair {
  readonly primary: string
  readonly standby: string
  /** Both, as libpq's connection strings list them. */
  readonly both: string
  /** pg_ctl stop -m immediate, of the primary. */
  kill(): Promise<void>
  /** pg_ctl stop -m fast, of the primary: the standby gets all. */
  stop(): Promise<void>
  /** The standby receives nothing any more, so what is written now will be lost. */
  cut(): Promise<void>
  promote(): Promise<void>
  remove(): Promise<void>
}

export async function startPair({ synchronous = false } = {}): Promise<Pair> {
  const directory = await mkdtemp(join(tmpdir(), 'meowmx-pair-'))
  const [first, second] = [join(directory, 'primary'), join(directory, 'standby')] as const
  await (await startPostgres({ dataDir: first })).stop()
  await cp(first, second, { recursive: true })
  const primary = await startPostgres({
    dataDir: first,
    settings: {
      fsync: false,
      max_connections: 200,
      ...(synchronous ? { synchronous_standby_names: '*' } : {}),
    },
  })
  const { port } = new URL(primary.connectionString)
  await writeFile(join(second, 'standby.signal'), '')
  // Not as an argument, so that it can be changed.
  await writeFile(
    join(second, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres'\n`,
  )
  const standby = await startPostgres({ dataDir: second, settings: { fsync: false, max_connections: 200 } })

  const onStandby = async (text: string): Promise<any> => {
    const client = new pg.Client({ connectionString: standby.connectionString })
    client.on('error', () => {}) // a standby may end sessions when it is promoted; a query shows it
    await client.connect()
    try {
      return (await client.query(text)).rows[0]
    } finally {
      await client.end()
    }
  }
  const receives = async () => (await onStandby('select count(*)::int as n from pg_stat_wal_receiver')).n > 0
  await until(receives, { what: 'the standby to stream' })

  const hosts = [primary, standby].map(({ connectionString }) => new URL(connectionString).host)
  return {
    primary: primary.connectionString,
    standby: standby.connectionString,
    both: `postgresql://postgres@${hosts}/postgres?target_session_attrs=read-write`,
    kill: async () => {
      const pid = (await readFile(join(first, 'postmaster.pid'), 'utf8')).split('\n')[0]
      process.kill(Number(pid), 'SIGQUIT')
      await primary.stop()
    },
    stop: () => primary.stop(),
    cut: async () => {
      await onStandby(`alter system set primary_conninfo = ''`)
      await onStandby('select pg_reload_conf()')
      await until(async () => !(await receives()), { what: 'the standby to be cut off' })
    },
    promote: async () => {
      await onStandby('select pg_promote()')
    },
    remove: async () => {
      await Promise.all([primary.stop(), standby.stop()])
      await rm(directory, { recursive: true, force: true })
    },
  }
}
