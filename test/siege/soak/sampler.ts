import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Log } from '../facts.ts'
import { SCHEMA } from '../team.ts'

const QUERY = `
  select (select json_agg(pid) from pg_stat_activity where backend_type = 'client backend') as pids,
         (select count(*)::int from pg_stat_activity where application_name like 'meowmx%') as connections,
         (select count(*)::int from pg_locks) as locks,
         pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as wal,
         (select max(position)::float8 from ${SCHEMA}.events) as head,
         (select min(position)::float8 from ${SCHEMA}.checkpoints) as reached,
         (select sum(pg_total_relation_size(relid))::float8 from pg_stat_user_tables
          where schemaname like 'siege%' and relname in ('checkpoints', 'executors', 'subscriptions', 'parked_events', 'waiters'))
         as tables`

/** Checks the server at intervals until it is stopped, and writes a sample into the log each time. */
export function startSampler(sql: pg.Pool, log: Log, everyMs: number): () => Promise<void> {
  const stop = new AbortController()
  let before: { wal: number; head: number } | undefined
  const look = async () => {
    const { rows } = await sql.query(QUERY)
    const { pids, connections, locks, wal, head, reached, tables } = rows[0]
    const events = before ? head - before.head : 0
    // In a quiet spell there is nothing to divide by.
    const perEvent = before && events > 20 ? { walPerEvent: (wal - before.wal) / events } : {}
    before = { wal, head }
    const values = { connections, locks, lag: head - reached, tables, ...perEvent, ...memory(pids) }
    log({ kind: 'sample', values })
  }
  const running = (async () => {
    while (!stop.signal.aborted) {
      await look()
      await delay(everyMs, undefined, { signal: stop.signal }).catch(() => {})
    }
  })()
  return () => {
    stop.abort()
    return running
  }
}

/** Private memory of the largest of these processes, and their open files; nothing where the system does not tell. */
function memory(pids: readonly number[]): { backend?: number; files?: number } {
  try {
    const sizes = pids.map((pid) => {
      const [, kB] = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^RssAnon:\s+(\d+)/m)!
      return { memory: Number(kB) * 1024, files: readdirSync(`/proc/${pid}/fd`).length }
    })
    return {
      backend: Math.max(...sizes.map(({ memory }) => memory)),
      files: sizes.reduce((sum, { files }) => sum + files, 0),
    }
  } catch {
    return {} // one of them is gone meanwhile
  }
}
