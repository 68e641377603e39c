// The view of process managers: their instances, what these wait for, and what has failed.

import { get, post } from './api.js'
import { ask } from './ask.js'
import { byId, cells, h, keyed, write } from './dom.js'
import { about, clock, counted, full, number, parkedText } from './format.js'
import { action } from './rights.js'
import { subscriptionOf } from './subscriptions.js'
import { dueText, first, stateOf } from './timers.js'

const EXACT = 10_000
const body = byId('process-table').tBodies[0]
const idField = byId('instance-id')
const note = (text) => write(byId('instance-note'), text)
let latest
let chosen // name
let asking = false

byId('instance-form').addEventListener('submit', (event) => event.preventDefault())
idField.addEventListener('input', () => refresh())

const retryAll = action('Try failed timers again …', 'The timers of all instances that have failed', () =>
  askToRetry(),
)
byId('instance-tools').append(retryAll)

export function heardProcesses(value) {
  const isFirst = !latest
  latest = value
  const bad = latest.reduce((sum, { late, failed }) => sum + Math.max(late, failed), 0)
  byId('process-total').hidden = bad === 0
  write(byId('process-total'), number(bad))
  if (isFirst) showProcess(chosen)
  render()
}

/** Every second: instances and their timers. */
export function heardProcessesSecond() {
  if (byId('processes').hidden) return
  render()
  refresh()
}

export function showProcess(name) {
  const one = name ?? chosen ?? latest?.[0]?.name
  if (one !== undefined && one !== chosen) {
    chosen = one
    idField.value = ''
    byId('instances').replaceChildren()
    note('')
  }
  render()
  refresh()
}

const count = (value) => about(Math.min(value, EXACT), value > EXACT).replace('~', '> ')

function render() {
  if (!latest || byId('processes').hidden) return
  const make = ({ name }) =>
    h(
      'tr',
      {},
      ...cells(
        ['Process manager', 'name', h('a', { href: `#/processes/${encodeURIComponent(name)}` }, name)],
        ['Instances', 'n'],
        ['Ended', 'n'],
        ['Timers', 'n'],
        ['Late', 'n'],
        ['Failed timers', 'n'],
        ['Lag', 'n'],
        ['Parked', 'n'],
      ),
    )
  keyed(
    body,
    latest,
    ({ name }) => name,
    make,
    (row, info) => {
      const [name, instances, ended, timers, late, failed, lag, parked] = row.cells
      const subscription = subscriptionOf(info.name)
      row.toggleAttribute('data-chosen', info.name === chosen)
      name.firstElementChild.toggleAttribute('aria-current', info.name === chosen)
      write(instances, count(info.instances))
      write(ended, count(info.ended))
      write(timers, count(info.timers))
      write(late, count(info.late))
      late.classList.toggle('bad', info.late > 0)
      write(failed, count(info.failed))
      failed.classList.toggle('bad', info.failed > 0)
      write(lag, subscription ? about(subscription.lag, subscription.lagIsEstimate) : '–')
      const streams = subscription?.parkedStreams ?? 0
      write(
        parked,
        streams > 0 ? parkedText(streams, subscription.parked, subscription.parkedIsEstimate) : '0',
      )
      parked.classList.toggle('bad', streams > 0)
    },
  )
  write(byId('process-note'), latest.length === 0 ? 'No process manager has an instance yet.' : '')
  const info = latest.find(({ name }) => name === chosen)
  byId('chosen-process').hidden = !info
  if (!info) return
  const paused = subscriptionOf(chosen)?.status === 'paused'
  write(byId('process-name'), paused ? `${chosen} (paused)` : chosen)
  byId('process-subscription').href = `#/subscriptions/${encodeURIComponent(chosen)}`
  retryAll.hidden = info.failed === 0
}

/** One question at a time, and then the newest. */
async function refresh() {
  const [name, id] = [chosen, idField.value]
  if (asking || name === undefined) return
  asking = true
  try {
    const answer = await get('/api/instances', { name, id })
    if (chosen === name && idField.value === id) renderInstances(answer)
  } catch (error) {
    if (error.status !== 404) note(error.message)
  } finally {
    asking = false
  }
  if (chosen !== name || idField.value !== id) refresh()
}

function renderInstances({ instances, more }) {
  // State and timers are part of the key, so a change draws the instance again; what stays keeps its elements.
  const key = ({ id, state, timers, updatedAt, ended }) =>
    JSON.stringify([chosen, id, state, timers, updatedAt, ended])
  keyed(byId('instances'), instances, key, instance, (item, { timers }) => {
    for (const [i, timer] of timers.entries()) {
      const line = item.querySelectorAll('.timer')[i]
      write(line.querySelector('.dim'), dueText(timer))
      line.classList.toggle('bad', !['waits', 'retrying'].includes(stateOf(timer)))
    }
  })
  const none = idField.value ? 'There is no such instance.' : 'There are no instances.'
  write(
    byId('instance-count'),
    instances.length === 0
      ? none
      : more
        ? `The ${number(instances.length)} that changed last; the field above finds others by their id.`
        : '',
  )
}

function instance({ id, state, timers, updatedAt, ended }) {
  const hasFailed = timers.some(({ failure }) => failure && failure.retryAt === null)
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'head' },
      h('b', { class: 'id-text' }, id),
      h(
        'div',
        { class: 'tools' },
        ended ? h('span', { class: 'pill' }, 'ended') : null,
        hasFailed ? action('Try again …', `The failed timers of ${id}`, () => askToRetry(id)) : null,
      ),
    ),
    h('p', { class: 'note', title: full(updatedAt) }, `changed ${clock(updatedAt)}`),
    ...timers.map(({ name, due, failure }) =>
      h(
        'p',
        { class: 'timer' },
        h('b', {}, name),
        ' ',
        h('time', { title: full(due) }, clock(due)),
        ' ',
        h('span', { class: 'dim' }),
        failure ? h('span', { class: 'bad reason', title: failure.error }, ` ${first(failure.error)}`) : null,
      ),
    ),
    h('details', {}, h('summary', {}, 'State'), h('pre', {}, state)),
  )
}

function askToRetry(id) {
  const name = chosen
  const which = id === undefined ? 'all instances' : `instance ${id}`
  const text = `Processes of "${name}" try the timers of ${which} that have failed once more. Nothing is lost; what fails again is kept as failed.`
  ask({ title: 'Try failed timers again?', text, yes: 'Try again' }, async () => {
    const { retried } = await post('/api/retry-timers', {
      process: name,
      ...(id === undefined ? {} : { id }),
    })
    note(`${counted(retried, 'timer')} will be tried again.`)
  })
}
