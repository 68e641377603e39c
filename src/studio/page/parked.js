import { get, post } from './api.js'
import { byId, h, write } from './dom.js'
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
  const open = new Set([...byId('parked').querySelectorAll('details[open]')].map((one) => one.dataset.key))
  byId('parked').replaceChildren(...streams(list).map(stream))
  for (const one of byId('parked').querySelectorAll('details')) one.open = open.has(one.dataset.key)
  all.hidden = list.length === 0
  const rest = count - list.length
  write(
    byId('parked-note'),
    count === 0 ? 'Nothing is parked.' : rest > 0 ? `The first ${list.length} of ${number(count)}.` : '',
  )
}

/** The events of one stream, of which the first failed, belong together. */
function streams(list) {
  const found = new Map()
  for (const one of list) {
    const key = JSON.stringify([one.event.category, one.event.streamId])
    found.set(key, [...(found.get(key) ?? []), one])
  }
  return [...found.values()]
}

function stream([first, ...others]) {
  const { category, streamId, version, type, data, position } = first.event
  const [reason, ...stack] = (first.error ?? 'parked without an error').split('\n')
  const more = (key, label, text) =>
    h('details', { 'data-key': `${position}/${key}` }, h('summary', {}, label), h('pre', {}, text))
  const button = h('button', { click: () => replay({ subscription, streamId }, button) }, 'Replay')
  button.disabled = !may
  button.title = may ? `Put ${streamId} back, before its newer events` : HINT
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'head' },
      h(
        'a',
        { href: streamHref(category, streamId, version) },
        h('span', { class: 'dim' }, `${category}/`),
        streamId,
        ` · ${version}`,
      ),
      button,
    ),
    h('p', { class: 'bad reason' }, reason),
    h(
      'p',
      { class: 'note' },
      `${type}, ${first.attempts} attempts, since ${full(first.parkedAt)}${others.length > 0 ? `; ${number(others.length)} more of its stream wait behind it` : ''}`,
    ),
    stack.length > 0 ? more('stack', 'Where', stack.join('\n')) : null,
    more('data', 'Data', data),
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
