import { get, post } from './api.js'
import { byId, h, keyed, write } from './dom.js'
import { full, number, streamHref } from './format.js'

const HINT = 'Started to read only: start it with --write to replay'
const all = byId('replay-all')
let may = false
let subscription

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

export async function loadParked(name, count) {
  subscription = name
  const list = count > 0 ? await get('/api/parked', { name }) : []
  if (subscription !== name) return
  // What stays keeps its elements: a click or the focus on one is not lost when another event is parked.
  keyed(byId('parked'), streams(list), key, stream, (item, [first, ...others]) => {
    const behind = others.length > 0 ? `; ${number(others.length)} more of its stream wait behind it` : ''
    const { event, attempts, parkedAt } = first
    write(
      item.querySelector('.note'),
      `${event.type}, ${number(attempts)} attempts, since ${full(parkedAt)}${behind}`,
    )
  })
  all.hidden = list.length === 0
  const rest = count - list.length
  write(
    byId('parked-note'),
    count === 0 ? 'Nothing is parked.' : rest > 0 ? `The first ${list.length} of ${number(count)}.` : '',
  )
}

/** A stream that failed at the same event, again or otherwise, is shown anew. */
const key = ([{ event, error, parkedAt }]) =>
  JSON.stringify([subscription, event.category, event.streamId, event.position, parkedAt, error])

/** The events of one stream, of which the first failed, belong together. */
function streams(list) {
  const found = new Map()
  for (const one of list) {
    const key = JSON.stringify([one.event.category, one.event.streamId])
    found.set(key, [...(found.get(key) ?? []), one])
  }
  return [...found.values()]
}

function stream([{ event, error }]) {
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
    write(byId('parked-note'), `${number(replayed)} put back: executors handle them before newer events.`)
  } catch (error) {
    write(byId('parked-note'), error.message)
  } finally {
    button.disabled = !may
  }
}
