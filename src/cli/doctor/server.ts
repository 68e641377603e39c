// Checks of the server: connection, settings and clock.
import { now, wall } from '../../core/clock.ts'
import { statements } from '../../database/statements.ts'
import type { Check } from './check.ts'
import { duration, median, ok, problem, warning } from './check.ts'

/** The oldest version of PostgreSQL that we test. */
const OLDEST = 14
const ROUNDS = 5
/** By how much the clocks may differ. */
const CLOCK_MS = 2_000

export const connection: Check = {
  name: 'connection',
  blocks: ['server', 'schema', 'store'],
  async run({ db }) {
    const [row] = await db.query(statements.whoAndWhere, {})
    const times: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const began = now()
      await db.query(statements.whoAndWhere, {})
      times.push(now() - began)
    }
    return ok(`connected as ${row![0]} to database ${row![1]}; a query takes ${duration(median(times))}`)
  },
}

export const server: Check = {
  name: 'server',
  needs: 'server',
  async run({ db }) {
    const [row] = await db.query(statements.doctorServer, {})
    const [version, number, recovering, fsync, pages, commit, autovacuum, used, most, , encoding] = row!
    const findings = []
    if (encoding !== 'UTF8')
      findings.push(
        problem(
          `the database has the encoding ${encoding}, but a store needs UTF8: events with other characters are refused`,
          "create database ... encoding 'UTF8' template template0, and copy the store into it (meowmx export, import)",
        ),
      )
    if (Number(number) < OLDEST * 10_000)
      findings.push(problem(`PostgreSQL ${version}`, `upgrade to ${OLDEST} or later`))
    if (recovering === 't')
      findings.push(
        problem(
          'it is a standby: advisory locks are not replicated, so only load() works',
          'connect to the primary',
        ),
      )
    if (fsync === 'off' || pages === 'off')
      findings.push(
        warning(
          `${fsync === 'off' ? 'fsync' : 'full_page_writes'} is off: a crash of the machine may destroy the whole database`,
          'turn it on in postgresql.conf, unless you may lose the data',
        ),
      )
    if (commit === 'off')
      findings.push(
        warning(
          'synchronous_commit is off: after a crash, events may be missing that were already delivered',
          'alter database … set synchronous_commit = on',
        ),
      )
    if (autovacuum === 'off')
      findings.push(
        problem(
          'autovacuum is off: the table of checkpoints grows until each ack is slow',
          'alter system set autovacuum = on',
        ),
      )
    if (Number(used) > Number(most) * 0.9)
      findings.push(
        problem(
          `${used} of ${most} connections are in use`,
          'lower maxConnections of the pools, use a pooler, or raise max_connections',
        ),
      )
    return findings.length > 0 ? findings : ok(`PostgreSQL ${version}, ${used} of ${most} connections in use`)
  },
}

export const clock: Check = {
  name: 'clock',
  needs: 'server',
  async run({ db }) {
    const began = wall()
    const [row] = await db.query(statements.clock, {})
    const ended = wall()
    const offMs = Number(row![0]) - (began + ended) / 2
    const unsureMs = (ended - began) / 2
    const off = `the server's clock is ${duration(Math.abs(offMs))} ${offMs < 0 ? 'behind' : 'ahead of'} this machine's`
    if (Math.abs(offMs) - unsureMs > CLOCK_MS)
      return problem(
        `${off}: leases use only the server's clock, but recordedAt and your logs will differ`,
        'synchronise both with NTP (timedatectl set-ntp true)',
      )
    return ok(`the clocks differ by at most ${duration(Math.max(Math.abs(offMs) + unsureMs, 1))}`)
  },
}
