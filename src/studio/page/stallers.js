// The view of blocking transactions.

import { byId, cells, h, keyed, write } from './dom.js'
import { duration, full, number } from './format.js'

const body = byId('staller-table').tBodies[0]
let stallers = []

export function heardStallers(value) {
  stallers = value
  render()
}

/** Also called every second, because the ages grow. */
export function render(now = Date.now()) {
  const make = () =>
    h(
      'tr',
      {},
      ...cells(
        ['Open for', 'n'],
        ['Holds back', 'name'],
        ['Pid', 'n'],
        ['Application', ''],
        ['Database', ''],
        ['Last query', 'mono query'],
      ),
    )
  const key = ({ pid, since, category, query }) =>
    JSON.stringify([pid, since, category, pid === null ? query : ''])
  keyed(body, stallers, key, make, (row, one) => {
    const [age, category, pid, application, database, query] = row.cells
    write(age, one.since ? duration(now - Date.parse(one.since)) : 'unknown')
    age.title = one.since ? full(Date.parse(one.since)) : 'this role may not see it: grant pg_read_all_stats'
    write(
      category,
      one.category ?? (one.everyCategory ? 'every category' : 'the whole store, no category with events'),
    )
    write(pid, one.pid === null ? 'prepared' : String(one.pid))
    write(application, one.application ?? '')
    write(database, one.database)
    write(query, one.query ?? '')
    query.title = one.query ?? ''
  })
  const old = stallers.filter(({ since }) => since && now - Date.parse(since) > 1_000).length
  byId('stalling').hidden = old === 0
  write(byId('stalling'), number(old))
  write(byId('staller-note'), stallers.length === 0 ? 'There are no blocking transactions.' : '')
}
