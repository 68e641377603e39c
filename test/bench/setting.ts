import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ConnectOptions, Meow } from 'meowmx'
import { connect } from 'meowmx'
import pg from 'pg'
import { testServer } from '../support/server.ts'

/** What a benchmark runs in. */
export interface Setting {
  /** How long each way is measured, at most, if the length is a time. */
  readonly seconds: number
  /** An empty database. It is dropped at the end of the run, or when the next one is created, unless that one is meant to be beside it. */
  database(options?: { beside: boolean }): Promise<Place>
  log(line: string): void
}

/** A database for the measurement of the limit: rows inserted with plain INSERT. */
export interface Place {
  readonly url: string
  /** A store in it, migrated. */
  store(options?: ConnectOptions): Promise<Meow>
  query(text: string): Promise<pg.QueryResult>
  pool(max: number): pg.Pool
  /** Transactions per second of pgbench; undefined if there is no pgbench. */
  pgbench(script: string, clients: number): Promise<number | undefined>
}

/** What a single event is in every benchmark: about 200 bytes. */
export const data = {
  lane: 1,
  seq: 12_345,
  stream: '00000000-0000-0000-0000-000000000000',
  pos: 1,
  pad: 'x'.repeat(110),
}

/** Without versions, ids and indexed names: the lowest possible cost of an append. */
export const BARE =
  'create table bare (id bigserial primary key, stream uuid not null, version int not null, type text not null, data json not null)'
export const INSERT_BARE = `insert into bare (stream, version, type, data) values (gen_random_uuid(), 1, 'Evt', '${JSON.stringify(data)}')`

/** A server of its own (or DATABASE_URL's) with fsync on, for as long as the body runs. */
export async function withSetting<T>(seconds: number, body: (setting: Setting) => Promise<T>): Promise<T> {
  const server = await testServer({ durable: true })
  const made: string[] = []
  const ends: (() => Promise<unknown>)[] = []
  const admin = new pg.Pool({ connectionString: server.connectionString, max: 1 })
  const drop = async () => {
    for (const end of ends.splice(0).reverse()) await end()
    for (const name of made.splice(0)) await admin.query(`drop database if exists ${name} with (force)`)
  }
  try {
    return await body({
      seconds,
      log: (line) => console.error(line),
      database: async ({ beside } = { beside: false }) => {
        if (!beside) await drop() // of the measure before: what is left of it must not be vacuumed now
        const name = `meowmx_bench_${process.pid}_${Date.now()}`
        made.push(name)
        await admin.query(`create database ${name}`)
        await admin.query('checkpoint')
        const url = new URL(server.connectionString)
        url.pathname = name
        return place(url.href, seconds, ends)
      },
    })
  } finally {
    await drop()
    await admin.end()
    await server.stop()
  }
}

function place(url: string, seconds: number, ends: (() => Promise<unknown>)[]): Place {
  const pool = (max: number) => {
    const made = new pg.Pool({ connectionString: url, max })
    made.on('error', () => {})
    ends.push(() => made.end())
    return made
  }
  const one = pool(1)
  return {
    url,
    pool,
    query: (text) => one.query(text),
    store: async (options = {}) => {
      const meow = await connect({ connectionString: url, ...options })
      await meow.migrate()
      ends.push(() => meow.close())
      return meow
    },
    pgbench: (script, clients) => pgbench(url, script, clients, seconds),
  }
}

async function pgbench(
  url: string,
  script: string,
  clients: number,
  seconds: number,
): Promise<number | undefined> {
  const program = findPgbench()
  if (!program) return undefined
  const how = [
    '-n',
    '-M',
    'prepared',
    '-c',
    `${clients}`,
    '-j',
    '2',
    '-T',
    `${Math.max(1, Math.round(seconds))}`,
    '-f',
    '-',
    url,
  ]
  const running = promisify(execFile)(program, how)
  running.child.stdin!.end(`${script};\n`)
  const { stdout } = await running
  return Number(/tps = ([\d.]+)/.exec(stdout)?.[1])
}

/** Debian's is in postgresql-15, beside the path. */
function findPgbench(): string | undefined {
  const versions = existsSync('/usr/lib/postgresql')
    ? readdirSync('/usr/lib/postgresql').sort().reverse()
    : []
  const folders = [
    ...(process.env.PATH ?? '').split(':'),
    ...versions.map((version) => `/usr/lib/postgresql/${version}/bin`),
  ]
  return folders.map((folder) => join(folder, 'pgbench')).find((file) => existsSync(file))
}
