// The check of durable subscriptions.
import { statements } from '../../database/statements.ts'
import { SubscriptionList } from '../../subscriptions/admin/subscriptions.ts'
import { plain } from '../output.ts'
import { approximate } from '../stderr.ts'
import type { Check } from './check.ts'
import { duration, ok, problem, warning } from './check.ts'

export const subscriptions: Check = {
  name: 'subscriptions',
  needs: 'store',
  async run({ db, longMs }) {
    const list = await new SubscriptionList(db).read()
    const dead = await db.query(statements.doctorLeases, {})
    const findings = list.flatMap((info) => {
      const { name, lag, parked, partitions } = info
      const quoted = `"${plain(name)}"`
      const orphans = dead.filter(([subscription]) => subscription === name)
      const unowned = partitions.filter(({ owner }) => owner === null).length
      const all = orphans.map(([, owner, count, ago]) =>
        problem(
          `executor ${plain(owner)} of ${quoted} is dead: its lease of ${count} partitions expired ${duration(Number(ago))} ago, and no other executor took over`,
          'start an executor, and find out why that one ended (out of memory, killed, cut off from the database)',
        ),
      )
      if (info.pausedAt)
        all.push(
          warning(
            `${quoted} has been paused since ${info.pausedAt.toISOString()}, and has ${approximate(lag, info.lagIsEstimate)} events to handle`,
            `meowmx resume ${name} lets it go on`,
          ),
        )
      else if (lag > 0 && unowned > 0 && orphans.length === 0)
        all.push(
          problem(
            `no executor owns ${unowned === partitions.length ? '' : `${unowned} partitions of `}${quoted}, which has ${approximate(lag, info.lagIsEstimate)} events to handle`,
            `start an executor; if you no longer need the subscription: meowmx delete ${name}`,
          ),
        )
      const { events, seconds } = info.heldBack
      if (events > 0 && seconds * 1_000 > longMs)
        all.push(
          warning(
            `${approximate(events, info.lagIsEstimate)} events of ${quoted} have been held back for ${duration(seconds * 1_000)} by an open append`,
            'run meowmx stallers to see the blocking transaction',
          ),
        )
      if (parked > 0)
        all.push(
          problem(
            `${quoted} has ${approximate(parked, info.parkedIsEstimate)} parked events`,
            `run meowmx parked ${name} to see why; when the cause is corrected: meowmx replay ${name}`,
          ),
        )
      return all
    })
    if (findings.length > 0) return findings
    const [most] = list.toSorted((a, b) => b.lag - a.lag)
    return ok(
      most
        ? `${list.length}, no parked events, a lag of at most ${approximate(most.lag, most.lagIsEstimate)} events`
        : 'there are no subscriptions',
    )
  },
}
