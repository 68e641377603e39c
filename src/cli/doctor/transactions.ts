// Checks of transactions: long ones, blocking ones, and dead rows.
import { wall } from '../../core/clock.ts'
import { statements } from '../../database/statements.ts'
import { heldBackBy, StallerList } from '../../subscriptions/admin/stallers.ts'
import { plain } from '../output.ts'
import type { Check } from './check.ts'
import { duration, ok, problem, warning } from './check.ts'

export const transactions: Check = {
  name: 'transactions',
  needs: 'server',
  async run({ db, longMs }) {
    const rows = await db.query(statements.doctorTransactions, { longMs })
    const [row] = await db.query(statements.seesAllTransactions, {})
    const [seesAll] = row!
    if (rows.length === 0)
      return ok(
        `none is open for longer than ${duration(longMs)}${seesAll === 't' ? '' : ' (only those of this role: seeing others needs pg_read_all_stats)'}`,
      )
    return rows.map(([pid, application, user, state, age, gid]) =>
      gid === null
        ? problem(
            `process ${pid} (${plain(application || 'no name')}, ${user}, ${state}) has had a transaction open for ${duration(Number(age))}: meanwhile dead rows cannot be removed`,
            `find out why it is open; to end it: select pg_terminate_backend(${pid})`,
          )
        : problem(
            `transaction ${gid} of ${user} was prepared ${duration(Number(age))} ago, and was neither committed nor rolled back`,
            `commit prepared ${gid}, or rollback prepared ${gid}`,
          ),
    )
  },
}

export const stallers: Check = {
  name: 'stallers',
  needs: 'store',
  async run({ db, longMs }) {
    const found = await new StallerList(db).read()
    const now = wall()
    const old = found.filter(({ since }) => since === null || now - since.getTime() > longMs)
    if (old.length === 0)
      return ok(
        found.length === 0 ? 'there are no blocking transactions' : 'there are open appends, but none is old',
      )
    return old.map(({ pid, application, since, ...held }) => {
      const who =
        pid === null ? 'a prepared transaction' : `process ${pid} (${plain(application || 'no name')})`
      const what = heldBackBy(held, plain)
      const todo =
        pid === null
          ? 'rollback prepared, or commit prepared'
          : `let it commit, or end it: select pg_terminate_backend(${pid})`
      return since === null
        ? warning(
            `${who} holds back ${what}; this role may not see for how long`,
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
  async run({ db }) {
    const rows = await db.query(statements.doctorBloat, { schema: db.schema })
    if (rows.length === 0) return ok('no table has many dead rows')
    return rows.map(([table, dead, live, off]) => {
      const name = `${db.quotedSchema}.${table}`
      return off === 't'
        ? problem(
            `autovacuum is off for ${name}, which has ${dead} dead rows now`,
            `alter table ${name} reset (autovacuum_enabled)`,
          )
        : problem(
            `${name} has ${dead} dead rows and ${live} live rows`,
            `vacuum ${name}; if that does not help, something keeps a snapshot open (see transactions, and pg_replication_slots)`,
          )
    })
  },
}
