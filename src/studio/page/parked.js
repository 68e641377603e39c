// The parked events of a subscription.

import { get, post } from './api.js'
import { byId, h, keyed, write } from './dom.js'
import { counted, full, number, parkedText, streamHref } from './format.js'

const HINT = 'The studio is read only: start it with --write to replay'
const all = byId('replay-all')
let may = false
let subscription
let wanted // what is asked for next, where a question is under way
let asking = false

export function allowReplay(write) {
  may = write
  all.disabled = !may
  all.title = may ? '' : HINT
}

export function clearParked() {
  subscription = undefined
  byId('parked').replaceChildren()
  write(byId('parked-note'), '')
  all.hidden = true
}

all.addEventListener('click', () => {
  if (confirm(`Replay everything that "${subscription}" has parked?`)) replay({ subscription })
})

/** One question at a time, and then the newest: an old answer never comes over a new one. */
export async function loadParked(name, count) {
  subscription = name
  wanted = { name, count }
  if (asking) return
  asking = true
  try {
    while (wanted) {
      const { name, count } = wanted
      wanted = undefined
      const answer = count > 0 ? await get('/api/parked', { name }) : { streams: [], events: 0 }
      if (subscription === name) render(answer)
    }
  } finally {
    asking = false
  }
}

function render({ streams, events, all: total }) {
  // What stays keeps its elements: a click or the focus on one is not lost when another event is parked.
  keyed(byId('parked'), streams, key, stream, (item, { event, attempts, parkedAt, behind, more }) => {
    const waiting =
      behind > 0 ? `; ${number(behind)} ${more ? 'or more' : 'more'} events of its stream wait behind it` : ''
    const facts = `${event.type}, ${counted(attempts, 'attempt')}, since ${full(parkedAt)}`
    write(item.querySelector('.note'), facts + waiting)
  })
  all.hidden = streams.length === 0
  write(byId('parked-note'), total ? summary(streams.length, events, total) : 'Nothing is parked.')
}

function summary(listed, events, all) {
  const text = parkedText(all.streams, all.events, all.isEstimate)
  return listed < all.streams || events < all.events
    ? `${text}. Listed: ${parkedText(listed, events)}.`
    : `${text}.`
}

/** If a stream fails again, its key changes, so it is drawn again. */
const key = ({ event, error, parkedAt }) =>
  JSON.stringify([subscription, event.category, event.streamId, event.position, parkedAt, error])

function stream({ event, error }) {
  const { category, streamId, version, data } = event
  const [reason, ...stack] = (error ?? 'parked without an error').split('\n')
  const more = (label, text) => h('details', {}, h('summary', {}, label), h('pre', {}, text))
  const button = h(
    'button',
    { type: 'button', click: () => replay({ subscription, streamId }, button) },
    'Replay',
  )
  button.disabled = !may
  button.title = may ? `Put ${streamId} back, before its newer events` : HINT
  const name = [h('span', { class: 'dim' }, `${category}/`), streamId, ` · ${version}`]
  return h(
    'li',
    {},
    h('div', { class: 'head' }, h('a', { href: streamHref(category, streamId, version) }, ...name), button),
    h('p', { class: 'bad reason' }, reason),
    h('p', { class: 'note' }),
    stack.length > 0 ? more('Where', stack.join('\n')) : null,
    more('Data', data),
  )
}

async function replay(what, button = all) {
  button.disabled = true
  try {
    const { replayed } = await post('/api/replay', what)
    write(
      byId('parked-note'),
      `${counted(replayed, 'event')} put back: executors handle them before newer ones.`,
    )
  } catch (error) {
    write(byId('parked-note'), error.message)
  } finally {
    button.disabled = !may
  }
}
