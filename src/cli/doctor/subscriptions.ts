import { SubscriptionList } from '../../subscriptions/admin/subscriptions.ts'
import { plain } from '../output.ts'
import { about } from '../talk.ts'
import type { Check } from './check.ts'
import { duration, ok, problem, warning } from './check.ts'

export const subscriptions: Check = {
  name: 'subscriptions',
  needs: 'store',
  async look({ db, longMs }) {
    const list = await new SubscriptionList(db).read()
    const dead = await db.query(db.file('doctor_leases'))
    const findings = list.flatMap((info) => {
      const { name, lag, parked, partitions } = info
      const quoted = `"${plain(name)}"`
      const orphans = dead.filter(([subscription]) => subscription === name)
      const unowned = partitions.filter(({ owner }) => owner === null).length
      const all = orphans.map(([, owner, count, ago]) =>
        problem(
          `executor ${plain(owner!)} of ${quoted} is dead: its lease of ${count} partitions ran out ${duration(Number(ago))} ago, and nobody took over`,
          'start an executor; look why that one ended (out of memory, killed, cut off from the database)',
        ),
      )
      if (lag > 0 && unowned > 0 && orphans.length === 0)
        all.push(
          problem(
            `nobody works on ${unowned === partitions.length ? '' : `${unowned} partitions of `}${quoted}, which has ${about(lag, info.lagIsEstimate)} events to handle`,
            `start an executor; where it is not needed any more: meowmx delete ${name}`,
          ),
        )
      const { events, seconds } = info.heldBack
      if (events > 0 && seconds * 1_000 > longMs)
        all.push(
          warning(
            `${about(events, info.lagIsEstimate)} events of ${quoted} have been held back for ${duration(seconds * 1_000)} by an append that is open`,
            'meowmx stallers names it',
          ),
        )
      if (parked > 0)
        all.push(
          problem(
            `${quoted} has set ${about(parked, info.parkedIsEstimate)} events aside, with later ones of their streams`,
            `meowmx parked ${name} tells why; once mended: meowmx replay ${name}`,
          ),
        )
      return all
    })
    if (findings.length > 0) return findings
    const [most] = list.toSorted((a, b) => b.lag - a.lag)
    return ok(
      most
        ? `${list.length}, nothing parked, ${about(most.lag, most.lagIsEstimate)} events behind at most`
        : 'there are none',
    )
  },
}
