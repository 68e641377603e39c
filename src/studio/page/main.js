// The entry of the page: connects to the server, and shows the view that the address names.

import { get, live } from './api.js'
import { heardCategories, heardRate, startRates } from './categories.js'
import { byId, write } from './dom.js'
import { counted, full, number } from './format.js'
import './keys.js'
import { askForToken } from './login.js'
import { allowOperations } from './operate.js'
import { allowReplay } from './parked.js'
import { heardProcesses, heardProcessesSecond, showProcess } from './processes.js'
import { heardProjections, render as renderProjections } from './projections.js'
import { allowChanges } from './rights.js'
import { search } from './search.js'
import { render as ageStallers, heardStallers } from './stallers.js'
import { heardAppends, showStream } from './stream.js'
import { showStreams } from './streams.js'
import { heardSecond, heardSubscriptions, showSubscription } from './subscriptions.js'
import { filterText, heardTail, onFilter, setFilter } from './tail.js'
import { heardTimers, heardTimersSecond, render as renderTimers } from './timers.js'

const VIEWS = [
  'categories',
  'tail',
  'stream',
  'subscriptions',
  'projections',
  'timers',
  'processes',
  'stallers',
  'search',
]
const PUSH = { listening: 'push', reconnecting: 'reconnecting', polling: 'polling', closed: 'closed' }
let greeted = false
let unanswered = null // why there is no connection
let problems = {}

const hear = {
  store(value) {
    problems = value.problems
    write(byId('rate'), number(value.rate))
    const events = value.heldBack?.events ?? 0
    byId('held').hidden = events === 0
    write(byId('held'), `${number(events)} held back`)
    byId('held-note').hidden = events === 0
    write(
      byId('held-note'),
      `${counted(events, 'committed event')} not delivered yet: an open append may still commit before them, so positions and lags stand still (see Stallers).`,
    )
    write(byId('horizon'), value.horizon === null ? '–' : number(value.horizon))
    const push = byId('push')
    write(push, PUSH[value.state])
    push.dataset.state = value.state
    push.title = `${value.state} since ${full(Date.parse(value.since))}${value.reconnects ? `, lost ${value.reconnects} times` : ''}${value.cause ? `: ${value.cause}` : ''}`
    trouble()
    heardRate(value)
    heardSecond(value)
    ageStallers()
    heardTimersSecond(value)
    heardProcessesSecond()
    heardAppends()
  },
  categories: heardCategories,
  tail: heardTail,
  subscriptions(value) {
    heardSubscriptions(value)
    if (!byId('subscriptions').hidden && byId('chosen').hidden) route()
  },
  projections: heardProjections,
  timers: heardTimers,
  processes: heardProcesses,
  stallers: heardStallers,
}

function trouble() {
  const lines = unanswered
    ? [unanswered]
    : Object.entries(problems).map(([what, message]) => `${what}: ${message}`)
  byId('trouble').hidden = lines.length === 0
  write(byId('trouble'), [...new Set(lines)].join('\n'))
}

async function greet() {
  const [{ title, write: may }, rates] = await Promise.all([get('/api/hello'), get('/api/rate')])
  startRates(rates)
  write(byId('title'), title)
  document.title = `${title} · meowmx studio`
  write(byId('mode'), may ? 'can operate' : 'read only')
  byId('mode').title = may
    ? 'Started with --write: subscriptions, projections and timers can be changed'
    : 'Nothing can be changed; start with --write to replay, skip, pause, reset, switch, rebuild, drop or cancel'
  allowReplay(may)
  allowOperations(may)
  allowChanges(may)
  greeted = true
}

let end = () => {}
function connect(filter) {
  end()
  const stands = (error) => {
    unanswered =
      error &&
      (error.status === 401 ? error.message : `No connection to the studio (${error.message}); trying again.`)
    document.body.toggleAttribute('data-lost', error !== null)
    askForToken(error?.status === 401)
    trouble()
    if (!error && !greeted) greet().catch(() => {})
  }
  end = live(filter ? { filter } : {}, (kind, value) => hear[kind]?.(value), stands)
}

function decode(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

function route() {
  const [wanted = '', ...parts] = location.hash.replace(/^#\//, '').split('/').map(decode)
  const view = VIEWS.includes(wanted) ? wanted : VIEWS[0]
  for (const one of VIEWS) byId(one).hidden = one !== view
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#/${view}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  if (view === 'tail' && parts[0] !== undefined) {
    setFilter(parts[0])
    history.replaceState(null, '', '#/tail')
  }
  if (view === 'stream')
    showStream(parts[0], parts[1], /^\d+$/.test(parts[2] ?? '') ? Number(parts[2]) : undefined)
  if (view === 'categories') showStreams(parts[0])
  if (view === 'search') search(parts[0])
  if (view === 'projections') renderProjections()
  if (view === 'timers') renderTimers()
  if (view === 'processes') showProcess(parts[0])
  if (view === 'subscriptions') showSubscription(parts[0])
}

onFilter(connect)
addEventListener('hashchange', route)
route()
connect(filterText())
