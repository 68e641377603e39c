// The view of a stream and its history.

import { get } from './api.js'
import { lastPosition, names } from './categories.js'
import { byId, h, keyed, write } from './dom.js'
import { clock, full, number, searchHref, streamHref } from './format.js'
import { json } from './json.js'

const slider = byId('version')
let stream // { category, streamId }
let target // the version that is to be shown; undefined: the last
let shown // the last answer
let wanted // the version that is asked for next, where one is under way
let asking = false
let seen // the category's last position when it was asked for

byId('which').addEventListener('submit', (event) => {
  event.preventDefault()
  location.hash = streamHref(byId('stream-category').value, byId('stream-id').value)
})
slider.addEventListener('input', () => go(Number(slider.value)))
byId('first').addEventListener('click', () => go(0))
byId('back').addEventListener('click', () => go(Number(slider.value) - 1))
byId('forth').addEventListener('click', () => go(Number(slider.value) + 1))
byId('last').addEventListener('click', () => go(Number(slider.max)))

/** Shows a stream as of a version, or (undefined) its last, and follows it. */
export function showStream(category, streamId, version) {
  byId('category-names').replaceChildren(...names().map((value) => h('option', { value })))
  if (category === undefined) {
    if (stream) history.replaceState(null, '', streamHref(stream.category, stream.streamId, target))
    return
  }
  if (stream?.category !== category || stream?.streamId !== streamId) {
    stream = { category, streamId }
    shown = undefined
    byId('history').hidden = true
    write(byId('stream-note'), 'Loading …')
  }
  byId('stream-category').value = category
  byId('stream-id').value = streamId
  ask(version)
}

/** Something may have been appended to it. */
export function heardAppends() {
  if (!stream || !shown || byId('stream').hidden) return
  const last = lastPosition(stream.category)
  if (last === undefined || last === seen) return
  seen = last
  ask(target)
}

function go(place) {
  if (!shown) return
  const last = Number(slider.max)
  const to = Math.max(0, Math.min(last, place))
  slider.value = to
  const version = to === last ? undefined : to
  history.replaceState(null, '', streamHref(stream.category, stream.streamId, version))
  ask(version)
}

/** One request at a time: while the slider moves, only its latest place is asked for. */
async function ask(version) {
  target = version
  wanted = { ...stream, version }
  if (asking) return
  asking = true
  while (wanted) {
    const { category, streamId, version } = wanted
    wanted = undefined
    try {
      const answer = await get('/api/stream', {
        category,
        streamId,
        ...(version === undefined ? {} : { version }),
      })
      if (category === stream.category && streamId === stream.streamId) render(answer)
    } catch (error) {
      write(byId('stream-note'), error.message)
    }
  }
  asking = false
}

function render(answer) {
  shown = answer
  const { lastVersion, version, event } = answer
  byId('history').hidden = event === null
  write(byId('stream-note'), event ? '' : `There is no stream ${stream.category}/${stream.streamId}.`)
  if (!event) return
  slider.max = lastVersion
  if (wanted === undefined) slider.value = version
  slider.setAttribute(
    'aria-valuetext',
    `version ${version}, event ${version + 1} of ${lastVersion + 1}, ${event.type}`,
  )
  byId('first').disabled = byId('back').disabled = version === 0
  byId('forth').disabled = byId('last').disabled = version === lastVersion
  const fact = (label, value, title) => h('span', { title }, `${label} `, h('b', {}, value))
  byId('where').replaceChildren(
    fact('version', number(version)),
    fact('event', `${number(version + 1)} of ${number(lastVersion + 1)}`),
    fact('recorded', full(event.recordedAt), new Date(event.recordedAt).toISOString()),
    fact('position', number(event.position)),
    fact('id', h('a', { class: 'id', href: searchHref(event.id), title: 'What belongs to it' }, event.id)),
  )
  write(byId('event-title'), event.type)
  byId('event-data').replaceChildren(...json(event.data))
  byId('event-metadata').replaceChildren(...json(event.metadata, true))
  byId('state').replaceChildren(...json(answer.state))
  renderChanges(answer)
  renderAround(answer)
}

function renderChanges({ changes, foldedFrom, leftOut }) {
  const differ = changes.filter(({ kind }) => kind !== 'same')
  byId('changes').replaceChildren(
    ...differ.map(({ key, kind, before, after }) =>
      h(
        'tr',
        { class: kind },
        h('th', { scope: 'row' }, key),
        h(
          'td',
          {},
          before === null ? null : h('del', {}, before),
          before === null ? null : ' ',
          h('ins', {}, after),
        ),
      ),
    ),
  )
  const same = changes.length - differ.length
  const words = differ.length === 0 ? 'Nothing.' : ''
  write(
    byId('unchanged'),
    `${words}${same > 0 ? ` ${number(same)} set to the value they already had.` : ''}`.trim(),
  )
  const notes = [
    'The studio does not know your reducers: this is the data of all events up to here, merged with Object.assign (first level only).',
  ]
  if (leftOut > 0) notes.push(`${number(leftOut)} events are left out, because their data is not an object.`)
  if (foldedFrom > 0) notes.push(`The stream is long, so this state starts at version ${number(foldedFrom)}.`)
  write(byId('fold-note'), notes.join(' '))
}

function renderAround({ around, version }) {
  const list = byId('around')
  const make = (one) =>
    h(
      'li',
      {},
      h(
        'a',
        { href: streamHref(stream.category, stream.streamId, one.version) },
        h('span', { class: 'n' }, String(one.version)),
        h('span', {}, one.type),
        h('time', {}, clock(one.recordedAt)),
      ),
    )
  keyed(
    list,
    [...around].reverse(),
    (one) => `${stream.category}/${stream.streamId}/${one.version}`,
    make,
    (item, one) => {
      const here = one.version === version
      item.firstElementChild.toggleAttribute('aria-current', here)
      // Within its own box: scrollIntoView would move the page.
      if (here) list.scrollTop = item.offsetTop - list.clientHeight / 2
    },
  )
}
