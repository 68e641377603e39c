// The parked events of a subscription.

import { get, post } from './api.js'
import { ask } from './ask.js'
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
  byId('parked-groups').replaceChildren()
  write(byId('parked-note'), '')
  all.hidden = true
}

all.addEventListener('click', () => {
  const name = subscription
  const text = `Executors handle everything that "${name}" has parked again, before newer events of these streams. Nothing is lost; what fails again is parked again.`
  ask({ title: 'Replay all parked events?', text, yes: 'Replay all' }, () => replay({ subscription: name }))
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
      const grouped = count > 1 ? await get('/api/parked-groups', { name }) : { groups: [], more: false }
      if (subscription === name) {
        render(answer)
        renderGroups(grouped)
      }
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

/** How many streams failed with which error, whatever page of the list they are on. */
function renderGroups({ groups, more }) {
  const example = ({ category, streamId, version }) => [
    h('a', { class: 'id', href: streamHref(category, streamId, version) }, streamId),
    ' ',
  ]
  byId('parked-groups').replaceChildren(
    ...groups.map(({ error, streams, examples }) =>
      h(
        'li',
        {},
        h('b', {}, counted(streams, 'stream')),
        ' ',
        h('span', { class: 'bad reason' }, error),
        h('p', { class: 'note' }, 'e.g. ', ...examples.flatMap(example)),
      ),
    ),
    ...(more ? [h('li', { class: 'note' }, 'Not all parked events were read for these numbers.')] : []),
  )
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
  const button = h('button', { type: 'button', click: () => askToReplay(event, button) }, 'Replay')
  button.disabled = !may
  button.title = may ? `Put ${streamId} back, before its newer events` : HINT
  const skip = h('button', { type: 'button', click: () => askToSkip(event, subscription) }, 'Skip …')
  skip.disabled = !may
  skip.title = may ? 'Never handle this event' : HINT
  const name = [h('span', { class: 'dim' }, `${category}/`), streamId, ` · ${version}`]
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'head' },
      h('a', { href: streamHref(category, streamId, version) }, ...name),
      h('div', { class: 'tools' }, skip, button),
    ),
    h('p', { class: 'bad reason' }, reason),
    h('p', { class: 'note' }),
    stack.length > 0 ? more('Where', stack.join('\n')) : null,
    more('Data', data),
  )
}

function askToReplay({ streamId }, button) {
  const name = subscription
  const text = `Executors handle the parked events of ${streamId} again, before its newer events. Nothing is lost; if it fails again, it is parked again.`
  ask({ title: 'Replay this stream?', text, yes: 'Replay' }, () =>
    replay({ subscription: name, streamId }, button),
  )
}

function askToSkip({ category, streamId, version, type }, subscription) {
  const title = 'Skip this event for ever?'
  const text = `"${subscription}" will never handle ${type}, version ${version} of ${category}/${streamId}: its effects are lost. The event stays in its stream, and later events of the stream are delivered again. The reason is stored.`
  const fields = [{ name: 'reason', label: 'Why (no personal data)' }]
  ask({ title, text, yes: 'Skip', fields }, async ({ reason }) => {
    const { replayed } = await post('/api/skip', { subscription, category, streamId, reason })
    write(byId('parked-note'), `The event is skipped; ${counted(replayed, 'event')} behind it put back.`)
  })
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
