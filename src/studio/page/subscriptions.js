// The view of subscriptions.

import { get } from './api.js'
import { byId, cells, h, keyed, write } from './dom.js'
import { about, duration, number, parkedText, selector } from './format.js'
import { showOperations } from './operate.js'
import { clearParked, loadParked } from './parked.js'
import { plot } from './plot.js'

const KEPT = 900 // samples, as the server
const body = byId('subscription-table').tBodies[0]
const draw = plot(byId('lag'), 'lag')
let latest = { subscriptions: [], all: 0 }
let chosen // name
let lags = { at: [], values: [] }
let parkedThen // how many streams and events were parked when they were loaded

/** A subscription by its name; undefined if it is not known. */
export const subscriptionOf = (wanted) => latest.subscriptions.find(({ name }) => name === wanted)

export function heardSubscriptions(value) {
  latest = value
  render()
}

/** Called every second: adds a sample of the lag, even if it is unchanged, and shows the leases. */
export function heardSecond({ at, problems }) {
  if (!byId('subscriptions').hidden) refresh()
  const info = latest.subscriptions.find(({ name }) => name === chosen)
  if (!info) return
  lags.at.push(at)
  lags.values.push(problems.subscriptions ? null : info.lag)
  if (lags.at.length > KEPT) {
    lags.at.shift()
    lags.values.shift()
  }
  if (!byId('subscriptions').hidden) draw(lags.at, lags.values)
}

export async function showSubscription(name) {
  const one = name ?? chosen ?? latest.subscriptions[0]?.name
  if (one === undefined) return
  if (one !== chosen) {
    chosen = one
    lags = { at: [], values: [] }
    parkedThen = undefined
    clearParked()
  }
  render()
  refresh()
  try {
    const answer = await get('/api/lag', { name: one })
    if (chosen !== one) return
    lags = answer
    draw(lags.at, lags.values)
  } catch {
    // the live messages are enough
  }
}

/** Loads the details of the chosen subscription, and its parked events if they have changed. */
async function refresh() {
  const name = chosen
  const info = latest.subscriptions.find((one) => one.name === name)
  byId('chosen').hidden = !info
  if (!info) return
  write(byId('chosen-name'), info.status === 'paused' ? `${name} (paused)` : name)
  showOperations(info)
  const parkedNow = `${info.parkedStreams} ${info.parked}`
  const parked = parkedNow !== parkedThen
  parkedThen = parkedNow
  try {
    const [detail] = await Promise.all([
      get('/api/subscription', { name }),
      parked ? loadParked(name, info.parkedStreams) : null,
    ])
    if (chosen === name) renderPartitions(detail)
  } catch (error) {
    parkedThen = undefined
    write(byId('subscription-note'), error.message)
  }
}

function render() {
  const make = ({ name }) =>
    h(
      'tr',
      {},
      ...cells(
        ['Subscription', 'name', h('a', { href: `#/subscriptions/${encodeURIComponent(name)}` }, name)],
        ['Consumes', 'dim wide'],
        ['Lag', 'n'],
        ['Parked', 'n'],
        ['Owned', 'n'],
        ['Executors', 'n'],
        ['Position', 'n'],
      ),
    )
  keyed(
    body,
    latest.subscriptions,
    ({ name }) => name,
    make,
    (row, info) => {
      const [, consumes, lag, parked, owned, executors, position] = row.cells
      row.toggleAttribute('data-chosen', info.name === chosen)
      row.cells[0].firstElementChild.toggleAttribute('aria-current', info.name === chosen)
      write(consumes, selector(info.selector))
      const { events, seconds } = info.heldBack
      const held = events > 0 ? ` (${number(events)} held back for ${Math.round(seconds)} s)` : ''
      write(lag, about(info.lag, info.lagIsEstimate) + held)
      lag.classList.toggle('bad', events > 0)
      lag.title =
        events > 0
          ? `${number(events)} of them have been held back for ${Math.round(seconds)} s by an open append: see the stallers`
          : ''
      const { parkedStreams } = info
      write(parked, parkedStreams > 0 ? parkedText(parkedStreams, info.parked, info.parkedIsEstimate) : '0')
      parked.classList.toggle('bad', parkedStreams > 0)
      write(owned, `${number(info.owned)} / ${number(info.partitions)}`)
      owned.classList.toggle('bad', info.owned < info.partitions)
      write(executors, number(info.owners))
      write(position, number(info.position))
    },
  )
  const parkedTotal = latest.subscriptions.reduce((sum, { parked }) => sum + parked, 0)
  const isEstimate = latest.subscriptions.some(({ parkedIsEstimate }) => parkedIsEstimate)
  byId('parked-total').hidden = parkedTotal === 0
  write(byId('parked-total'), about(parkedTotal, isEstimate))
  const rest = latest.all - latest.subscriptions.length
  write(
    byId('subscription-note'),
    latest.all === 0 ? 'No subscriptions yet.' : rest > 0 ? `${number(rest)} more are not shown.` : '',
  )
}

function renderPartitions({ partitions, lagAgeMs }) {
  write(byId('lag-age'), lagAgeMs === null ? '' : `· at most ${duration(lagAgeMs)} old`)
  byId('lag-age').title = 'How long ago the first event was recorded that it may still have to handle'
  const make = () =>
    h('tr', {}, ...cells(['Partition', 'n'], ['Owner', 'mono'], ['Position', 'n'], ['Lease', 'n']))
  keyed(
    byId('partitions'),
    partitions,
    ({ partition }) => String(partition),
    make,
    (row, info) => {
      const [partition, owner, position, lease] = row.cells
      write(partition, String(info.partition))
      write(owner, info.owner ?? 'nobody')
      owner.classList.toggle('bad', info.owner === null)
      owner.title = info.owner ?? ''
      write(position, number(info.position))
      write(lease, info.leaseUntil ? duration(Date.parse(info.leaseUntil) - Date.now()) : '·')
    },
  )
}
