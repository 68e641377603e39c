// The view of projections: the versions of read models, and what can be done with them.

import { post } from './api.js'
import { ask } from './ask.js'
import { byId, cells, h, keyed, write } from './dom.js'
import { about, counted, duration, full, number } from './format.js'
import { action } from './rights.js'

const body = byId('projection-table').tBodies[0]
const note = (text) => write(byId('projection-note'), text)
let latest

export function heardProjections(value) {
  latest = value
  render()
}

export function render() {
  if (!latest || byId('projections').hidden) return
  const { versions, all, failed } = latest
  // The buttons of a version depend on its state.
  const key = ({ name, version, generation, state }) => JSON.stringify([name, version, generation, state])
  keyed(body, versions, key, make, update)
  const failures = Object.entries(failed).map(([name, error]) => `The rebuild of "${name}" failed: ${error}`)
  byId('projection-failures').hidden = failures.length === 0
  write(byId('projection-failures'), failures.join('\n'))
  write(
    byId('projection-count'),
    all === 0
      ? 'There are no projections: meow.projection(…).start() creates one.'
      : all > versions.length
        ? `${number(all - versions.length)} more are not shown.`
        : '',
  )
}

function make(info) {
  const { name, version, state, subscription } = info
  const tools = h('div', { class: 'tools' })
  const asked = { projection: name, version }
  if (state !== 'live' && state !== 'building')
    tools.append(action('Make live …', 'Readers see this version', () => askToActivate(info)))
  if (state === 'live')
    tools.append(action('Rebuild …', 'Build it once more, beside itself', () => askToRebuild(info)))
  else tools.append(action('Drop …', 'Delete its tables', () => askToDrop(asked)))
  const href = `#/subscriptions/${encodeURIComponent(subscription)}`
  return h(
    'tr',
    {},
    ...cells(
      ['Projection', 'name', h('a', { href, title: 'Its subscription: pause, parked events' }, name)],
      ['Version', 'n'],
      ['State', 'state', h('span', { class: 'pill', 'data-state': state }, state)],
      [
        'Progress',
        'progress',
        h('progress', { max: 1, 'aria-label': `Progress of ${name} ${version}` }),
        h('span', {}),
      ],
      ['Per second', 'n'],
      ['Left', 'n'],
      ['Lag', 'n'],
      ['Parked', 'n'],
      ['Runs', ''],
      ['Actions', 'actions', tools],
    ),
  )
}

function update(row, info) {
  const [, version, state, progress, rate, left, lag, parked, runs] = row.cells
  const { generation, etaMs, parkedStreams, activatedAt, tables, schema } = info
  write(version, generation === 1 ? String(info.version) : `${info.version} (rebuild ${generation - 1})`)
  version.title = `${tables.join(', ') || 'no tables'} in ${schema}`
  state.firstElementChild.title = activatedAt ? `last made live ${full(Date.parse(activatedAt))}` : ''
  progress.firstElementChild.value = info.done
  write(progress.lastElementChild, `${Math.floor(info.done * 100)} %`)
  write(rate, info.rate > 0 ? number(info.rate) : '·')
  write(left, info.lag === 0 ? '·' : etaMs === null ? 'unknown' : duration(etaMs))
  write(lag, about(info.lag, info.lagIsEstimate))
  write(parked, parkedStreams > 0 ? counted(parkedStreams, 'stream') : '0')
  parked.classList.toggle('bad', parkedStreams > 0)
  write(runs, info.isRunning ? 'yes' : 'no')
  runs.classList.toggle('bad', !info.isRunning && info.state !== 'retired')
}

function askToActivate({ name, version, lag, state, parkedStreams, isRunning }) {
  const live = latest.versions.find((one) => one.name === name && one.state === 'live')
  const back =
    state === 'retired' && lag > 0 && !isRunning
      ? ` It is ${counted(lag, 'event')} behind and no process runs it: readers see older data.`
      : ''
  const parked =
    parkedStreams > 0
      ? ` ${counted(parkedStreams, 'stream')} of it are parked: their data is incomplete.`
      : ''
  const from = live ? ` instead of version ${live.version}` : ''
  const text = `Readers of the views see version ${version}${from}, all views at once. Nothing is deleted; you can go back.${back}${parked}`
  ask({ title: `Make version ${version} of "${name}" live?`, text, yes: 'Make live' }, async () => {
    await post('/api/activate', { projection: name, version })
    note(`Version ${version} of "${name}" is live.`)
  })
}

function askToRebuild({ name, version }) {
  const text = `Processes that run version ${version} build its tables once more from all events, beside the live ones, and then readers are switched over. Readers notice nothing; the database has to do the work, and holds the tables twice meanwhile.`
  ask({ title: `Rebuild "${name}"?`, text, yes: 'Rebuild' }, async () => {
    const { done } = await post('/api/rebuild', { projection: name })
    note(done ? `"${name}" is rebuilt.` : `"${name}" is being rebuilt.`)
  })
}

function askToDrop({ projection, version }) {
  const text = `The tables of version ${version} and its subscription are deleted; processes that run it end with an error. A version that was live once does not come back. This cannot be undone.`
  const fields = [{ name: 'confirm', label: `Type the name of the projection: ${projection}` }]
  ask(
    { title: `Drop version ${version} of "${projection}"?`, text, yes: 'Drop', fields },
    async ({ confirm }) => {
      if (confirm !== projection) throw new Error('That is not the name of the projection.')
      await post('/api/drop', { projection, version, confirm })
      note(`Version ${version} of "${projection}" is dropped.`)
    },
  )
}
