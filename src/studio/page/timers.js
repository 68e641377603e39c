// The view of timers: what is due, what is late, what has failed.

import { get, post } from './api.js'
import { ask } from './ask.js'
import { byId, cells, h, keyed, write } from './dom.js'
import { clock, counted, duration, full, number, streamHref } from './format.js'
import { action } from './rights.js'

/** One that is due for longer than this, in ms, is late. */
export const LATE_MS = 1_000

const body = byId('timer-table').tBodies[0]
const prefix = byId('timer-prefix')
const note = (text) => write(byId('timer-note'), text)
let latest
let found // those that begin with the prefix; null: without one
let asking = false
let now = Date.now() // by the clock of the studio

byId('timer-form').addEventListener('submit', (event) => event.preventDefault())
prefix.addEventListener('input', () => {
  found = null
  refresh()
})

export function heardTimers(value) {
  latest = value
  badge()
  render()
}

/** Every second, because timers become late. */
export function heardTimersSecond({ at }) {
  now = at
  badge()
  if (!byId('timers').hidden) refresh()
}

export const stateOf = ({ due, failure }) =>
  failure ? (failure.retryAt === null ? 'failed' : 'retrying') : now - due > LATE_MS ? 'late' : 'waits'

/** When a timer is due, and how it is. */
export function dueText(timer) {
  const { due, failure } = timer
  const state = stateOf(timer)
  if (state === 'failed') return `failed after ${counted(failure.attempts, 'attempt')}`
  if (state === 'retrying')
    return `failed ${counted(failure.attempts, 'time')}, again in ${duration(failure.retryAt - now)}`
  return state === 'late' ? `late by ${duration(now - due)}` : due > now ? `in ${duration(due - now)}` : 'now'
}

function badge() {
  const bad = latest?.timers.filter((timer) => !['waits', 'retrying'].includes(stateOf(timer))).length ?? 0
  byId('late-total').hidden = bad === 0
  write(byId('late-total'), number(bad))
}

async function refresh() {
  const asked = prefix.value
  if (asked === '' || asking) return render()
  asking = true
  try {
    const answer = await get('/api/timers', { prefix: asked })
    if (prefix.value === asked) found = answer
  } catch (error) {
    note(error.message)
  } finally {
    asking = false
  }
  if (prefix.value !== asked) return refresh()
  render()
}

export function render() {
  const shown = prefix.value === '' ? latest : found
  if (!shown || byId('timers').hidden) return
  const { timers, more } = shown
  const key = ({ key, due, failure }) => JSON.stringify([key, due, failure?.attempts])
  keyed(body, timers, key, make, (row, timer) => {
    const [, due, state] = row.cells
    write(due.lastElementChild, dueText(timer))
    const word = stateOf(timer)
    state.firstElementChild.dataset.state = word
    write(state.firstElementChild, word)
  })
  const none = prefix.value === '' ? 'There are no timers.' : 'There are no such timers.'
  write(
    byId('timer-count'),
    timers.length === 0
      ? none
      : more
        ? `The first ${number(timers.length)}, in the order of their times.`
        : '',
  )
}

function make(timer) {
  const { key, due, category, streamId, types, data, failure } = timer
  return h(
    'tr',
    {},
    ...cells(
      [
        'Key',
        'name',
        h('span', {}, key),
        failure ? h('p', { class: 'bad reason', title: failure.error }, first(failure.error)) : null,
      ],
      ['Due', 'due', h('time', { title: full(due) }, clock(due)), ' ', h('span', { class: 'dim' })],
      ['State', 'state', h('span', { class: 'pill' })],
      [
        'Appends to',
        'wide',
        h('a', { class: 'id', href: streamHref(category, streamId) }, `${category}/${streamId}`),
      ],
      ['Events', 'wide', h('span', { title: data }, types.join(', '))],
      [
        'Actions',
        'actions',
        h(
          'div',
          { class: 'tools' },
          action('Run now …', 'Append what it holds', () => askToRun(timer)),
          action('Cancel …', 'Never append what it holds', () => askToCancel(timer)),
        ),
      ],
    ),
  )
}

export const first = (error) => error.split('\n', 1)[0].slice(0, 300)

const holds = ({ types, category, streamId }) => `${types.join(', ')} to ${category}/${streamId}`

function askToRun(timer) {
  const { key, due } = timer
  const early = due > now ? ` It is due only in ${duration(due - now)}.` : ''
  const text = `It appends ${holds(timer)}, now and once, and is gone.${early} This cannot be undone.`
  ask({ title: `Run the timer "${key}"?`, text, yes: 'Run now' }, async () => {
    const { fired } = await post('/api/run-timer', { key })
    note(fired ? `"${key}" has fired.` : `There is no timer "${key}" any more.`)
  })
}

function askToCancel(timer) {
  const { key } = timer
  const text = `It will never append ${holds(timer)}. This cannot be undone.`
  ask({ title: `Cancel the timer "${key}"?`, text, yes: 'Cancel the timer', no: 'Keep it' }, async () => {
    const { cancelled } = await post('/api/cancel-timer', { key })
    note(cancelled ? `"${key}" is cancelled.` : `There is no timer "${key}" any more.`)
  })
}
