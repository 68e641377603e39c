// The view that searches: a correlation as a tree, or the events since a time.

import { get } from './api.js'
import { byId, h, write } from './dom.js'
import { clock, counted, full, number, searchHref, streamHref } from './format.js'
import { time } from './operate.js'

const DEEPEST = 12 // deeper events are not indented more
const field = byId('search-text')
const list = byId('found')
let asked

byId('search-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const hash = searchHref(field.value.trim())
  if (location.hash === hash) search(field.value.trim())
  else location.hash = hash
})

/** Shows what belongs to an id, or what came since a time. */
export async function search(text) {
  if (!text) return
  field.value = text
  asked = text
  list.replaceChildren()
  write(byId('search-note'), 'Searching …')
  try {
    const since = time(text)
    const answer = await (since ? get('/api/since', { time: since }) : get('/api/trace', { id: text }))
    if (asked === text) render(answer, text, since)
  } catch (error) {
    if (asked === text) write(byId('search-note'), error.message)
  }
}

function render({ events, more }, text, since) {
  const none = since
    ? 'No event was recorded since then.'
    : `No event has the id or the correlation id ${text}.`
  const what = since
    ? `${counted(events.length, 'event')} since ${full(Date.parse(since))}${more ? '; there are more' : ''}.`
    : `${counted(events.length, 'event')}${more ? ', the first ones' : ''} that belong together; each stands below the event that caused it.`
  write(byId('search-note'), events.length === 0 ? none : what)
  list.replaceChildren(
    ...(since ? events.map((event) => [event, 0]) : tree(events)).map((one) => item(one, text)),
  )
}

/** The events with their depths, each after the event that caused it. */
function tree(events) {
  const ids = new Set(events.map(({ id }) => id))
  const below = Map.groupBy(events, ({ id, causationId }) =>
    ids.has(causationId) && causationId !== id ? causationId : null,
  )
  const rows = []
  const seen = new Set()
  const waiting = (below.get(null) ?? []).map((event) => [event, 0]).reverse()
  const visit = () => {
    while (waiting.length > 0) {
      const [event, depth] = waiting.pop()
      if (seen.has(event)) continue
      seen.add(event)
      rows.push([event, depth])
      for (const next of [...(below.get(event.id) ?? [])].reverse()) waiting.push([next, depth + 1])
    }
  }
  visit()
  // Events that name each other as their cause have no first one.
  for (const event of events) {
    waiting.push([event, 0])
    visit()
  }
  return rows
}

function item([event, depth], text) {
  const { category, streamId, version, type, recordedAt, position, data, id, correlationId } = event
  const link =
    correlationId &&
    correlationId !== text &&
    h('a', { href: searchHref(correlationId), class: 'id' }, `correlation ${correlationId}`)
  return h(
    'li',
    {
      'data-depth': String(Math.min(depth, DEEPEST)),
      'aria-level': String(depth + 1),
      class: id === text ? 'hit' : null,
    },
    h(
      'div',
      { class: 'head' },
      h(
        'a',
        { href: streamHref(category, streamId, version) },
        h('b', {}, type),
        ' ',
        h('span', { class: 'dim' }, `${category}/`),
        `${streamId} · ${version}`,
      ),
      h(
        'time',
        { class: 'dim', title: `${full(recordedAt)}, position ${number(position)}` },
        clock(recordedAt),
      ),
    ),
    h('code', { class: 'dim' }, data),
    link || null,
  )
}
