import { now, wall } from '../../core/clock.ts'
import type { Check } from './check.ts'
import { duration, median, ok, problem, warning } from './check.ts'

/** The oldest version that is tested. */
const OLDEST = 14
const ROUNDS = 5
/** A clock may be off by so much. */
const CLOCK_MS = 2_000

export const connection: Check = {
  name: 'connection',
  blocks: ['server', 'schema', 'store'],
  async look({ db }) {
    const select = db.statement('select current_user, current_database()')
    const [row] = await db.query(select)
    const times: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const began = now()
      await db.query(select)
      times.push(now() - began)
    }
    return ok(`as ${row![0]} to database ${row![1]}, a query takes ${duration(median(times))}`)
  },
}

export const server: Check = {
  name: 'server',
  needs: 'server',
  async look({ db }) {
    const [row] = await db.query(db.file('doctor_server'))
    const [version, number, recovering, fsync, pages, commit, autovacuum, used, most, , encoding] =
      row as string[]
    const findings = []
    if (encoding !== 'UTF8')
      findings.push(
        problem(
          `the database has the encoding ${encoding}, and a store needs UTF8: events with other characters are refused`,
          "create database ... encoding 'UTF8' template template0, and copy the store into it (meowmx export, import)",
        ),
      )
    if (Number(number) < OLDEST * 10_000)
      findings.push(problem(`PostgreSQL ${version}`, `upgrade to ${OLDEST} or later`))
    if (recovering === 't')
      findings.push(
        problem(
          'it is a standby: advisory locks do not come through, so nothing but load() works',
          'connect to the primary',
        ),
      )
    if (fsync === 'off' || pages === 'off')
      findings.push(
        warning(
          `${fsync === 'off' ? 'fsync' : 'full_page_writes'} is off: a crash of the machine may destroy the whole database`,
          'switch it on in postgresql.conf, but for what may be lost',
        ),
      )
    if (commit === 'off')
      findings.push(
        warning(
          'synchronous_commit is off: a crash may take back events that were delivered already',
          'alter database … set synchronous_commit = on',
        ),
      )
    if (autovacuum === 'off')
      findings.push(
        problem(
          'autovacuum is off: checkpoints grow until each ack is slow',
          'alter system set autovacuum = on',
        ),
      )
    if (Number(used) > Number(most) * 0.9)
      findings.push(
        problem(
          `${used} of ${most} connections are taken`,
          'lower maxConnections of the pools, use a pooler, or raise max_connections',
        ),
      )
    return findings.length > 0 ? findings : ok(`PostgreSQL ${version}, ${used} of ${most} connections taken`)
  },
}

export const clock: Check = {
  name: 'clock',
  needs: 'server',
  async look({ db }) {
    const began = wall()
    const [row] = await db.query(
      db.statement(`select (date_part('epoch', clock_timestamp()) * 1000)::bigint`),
    )
    const ended = wall()
    const offMs = Number(row![0]) - (began + ended) / 2
    const unsureMs = (ended - began) / 2
    const off = `the server's clock is ${duration(Math.abs(offMs))} ${offMs < 0 ? 'behind' : 'ahead of'} this machine's`
    if (Math.abs(offMs) - unsureMs > CLOCK_MS)
      return problem(
        `${off}: leases go by the server's alone, but recordedAt and your logs disagree`,
        'set both by NTP (timedatectl set-ntp true)',
      )
    return ok(`within ${duration(Math.max(Math.abs(offMs) + unsureMs, 1))} of the server's`)
  },
}
