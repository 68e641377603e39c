// The view of the tail.

import { get } from './api.js'
import { byId, cells, h, write } from './dom.js'
import { clock, full, number, streamHref } from './format.js'

const KEPT = 200 // rows
const body = byId('events')
const filter = byId('filter')
const pauseButton = byId('pause')
let waiting = [] // what came while paused, newest last
let paused = false
let came = 0 // while paused
let missed = 0
let newest = 0 // position
let oldest // the position before which the store is looked into next; undefined: before the last row
let refilter = () => {}
let timer

/** Called with the text of the filter when it has changed. */
export function onFilter(call) {
  refilter = call
}

export const filterText = () => filter.value.trim()

export function setFilter(text) {
  if (text === filter.value) return
  filter.value = text
  changed()
}

function changed() {
  clear()
  newest = 0 // what passed before may not have passed the old one
  refilter(filterText())
}

filter.addEventListener('input', () => {
  clearTimeout(timer)
  timer = setTimeout(changed, 250)
})
pauseButton.addEventListener('click', pause)
byId('clear').addEventListener('click', clear)
byId('older').addEventListener('click', older)

/** Looks for older events in the store. The tail is paused meanwhile: new events would push them out. */
async function older() {
  if (!paused) pause()
  const [text, button, first] = [filterText(), byId('older'), body.rows[body.rows.length - 1]]
  const before =
    oldest ?? (first ? Number(first.dataset.position) : newest > 0 ? newest + 1 : Number.MAX_SAFE_INTEGER)
  button.disabled = true
  write(byId('older-note'), 'Looking into the store …')
  try {
    const answer = await get('/api/older', { before, filter: text })
    if (text !== filterText()) return
    body.append(...answer.events.map(row))
    oldest = answer.before ?? 1
    const end = answer.before === null ? ' The first event of the store is reached.' : ''
    write(
      byId('older-note'),
      `${number(answer.events.length)} found among ${number(answer.scanned)} older events.${end}`,
    )
    button.hidden = answer.before === null
    note()
  } catch (error) {
    write(byId('older-note'), error.message)
  } finally {
    button.disabled = false
  }
}

export function pause() {
  paused = !paused
  pauseButton.setAttribute('aria-pressed', String(paused))
  pauseButton.firstElementChild.textContent = paused ? 'Go on' : 'Pause'
  if (!paused) {
    oldest = undefined
    byId('older').hidden = false
    write(byId('older-note'), '')
    const top = Number(body.rows[0]?.dataset.position ?? 0) // older ones may have been found in the store meanwhile
    add(waiting.filter(({ position }) => position > top))
    waiting = []
    came = 0
  }
  note()
}

function clear() {
  body.replaceChildren()
  waiting = []
  came = 0
  missed = 0
  oldest = undefined
  byId('older').hidden = false
  write(byId('older-note'), '')
  note()
}

export function heardTail(value) {
  // After a lost connection the last ones come again.
  const events = value.events.filter(({ position }) => position > newest)
  if (events.length > 0) newest = events.at(-1).position
  missed += value.missed
  if (paused) {
    came += events.length
    waiting = [...waiting, ...events].slice(-KEPT)
  } else add(events)
  note()
}

function add(events) {
  body.prepend(...events.slice(-KEPT).reverse().map(row))
  while (body.rows.length > KEPT) body.deleteRow(-1)
}

function note() {
  const parts = []
  if (paused) parts.push(`Paused: ${number(came)} more events arrived.`)
  if (missed > 0)
    parts.push(
      `${number(missed)} left out, because too many events arrive; use a filter to see the ones you need.`,
    )
  if (!paused && body.rows.length === 0)
    parts.push(filterText() ? 'No event has passed the filter yet.' : 'No event has arrived yet.')
  write(byId('tail-note'), parts.join(' '))
}

function row({ category, streamId, version, position, type, recordedAt, data, tags }) {
  const href = streamHref(category, streamId, version)
  return h(
    'tr',
    { 'data-position': position },
    ...cells(
      [
        'Time',
        't',
        h(
          'time',
          { datetime: new Date(recordedAt).toISOString(), title: full(recordedAt) },
          clock(recordedAt),
        ),
      ],
      ['Position', 'n pos', number(position)],
      [
        'Stream',
        'name',
        h(
          'a',
          { href, title: `${category}/${streamId}` },
          h('span', { class: 'dim' }, `${category}/`),
          streamId,
        ),
      ],
      ['Version', 'n v', String(version)],
      ['Type', 'type', tags.length > 0 ? h('span', { title: `tags: ${tags.join(', ')}` }, type) : type],
      ['Data', 'data', h('code', { title: data }, data)],
    ),
  )
}
