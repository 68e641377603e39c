import { wall } from '../../core/clock.ts'
import { heldBackBy, StallerList } from '../../subscriptions/admin/stallers.ts'
import { plain } from '../output.ts'
import type { Check } from './check.ts'
import { duration, ok, problem, warning } from './check.ts'

export const transactions: Check = {
  name: 'transactions',
  needs: 'server',
  async look({ db, longMs }) {
    const rows = (await db.query(db.file('doctor_transactions'), [longMs])) as readonly (readonly (
      | string
      | null
    )[])[]
    const [seesAll] = (await db.query(db.statement(`select pg_has_role('pg_read_all_stats', 'usage')`)))[0]!
    if (rows.length === 0)
      return ok(
        `none is open for longer than ${duration(longMs)}${seesAll === 't' ? '' : ' (of this role: others need pg_read_all_stats)'}`,
      )
    return rows.map(([pid, application, user, state, age, gid]) =>
      gid === null || gid === undefined
        ? problem(
            `process ${pid} (${plain(application || 'no name')}, ${user}, ${state}) has had a transaction open for ${duration(Number(age))}: dead rows pile up behind it`,
            `find out why; select pg_terminate_backend(${pid}) ends it`,
          )
        : problem(
            `transaction ${gid} of ${user} was prepared ${duration(Number(age))} ago, and neither committed nor rolled back`,
            `commit prepared ${gid}, or rollback prepared ${gid}`,
          ),
    )
  },
}

export const stallers: Check = {
  name: 'stallers',
  needs: 'store',
  async look({ db, longMs }) {
    const found = await new StallerList(db).read()
    const now = wall()
    const old = found.filter(({ since }) => since === null || now - since.getTime() > longMs)
    if (old.length === 0)
      return ok(found.length === 0 ? 'nobody holds anything back' : 'appends are on their way, none for long')
    return old.map(({ pid, application, since, ...held }) => {
      const who =
        pid === null ? 'a prepared transaction' : `process ${pid} (${plain(application || 'no name')})`
      const what = heldBackBy(held, plain)
      const todo =
        pid === null
          ? 'rollback prepared, or commit prepared'
          : `have it commit, or end it: select pg_terminate_backend(${pid})`
      return since === null
        ? warning(
            `${who} holds back ${what}, for how long this role may not see`,
            'grant pg_read_all_stats to it',
          )
        : problem(
            `${who} has appended and not committed for ${duration(now - since.getTime())}: ${what} is not delivered`,
            todo,
          )
    })
  },
}

export const bloat: Check = {
  name: 'bloat',
  needs: 'store',
  async look({ db }) {
    const rows = await db.query(db.file('doctor_bloat'), [db.schema])
    if (rows.length === 0) return ok('no table is full of dead rows')
    return rows.map(([table, dead, live, off]) => {
      const name = `${db.quotedSchema}.${table}`
      return off === 't'
        ? problem(
            `autovacuum is off for ${name}, with ${dead} dead rows now`,
            `alter table ${name} reset (autovacuum_enabled)`,
          )
        : problem(
            `${name} has ${dead} dead rows, ${live} others`,
            `vacuum ${name}; where that does not help something keeps a snapshot open (see transactions, and pg_replication_slots)`,
          )
    })
  },
}
