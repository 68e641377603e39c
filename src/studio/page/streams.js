// The streams of a category, below the categories.

import { get } from './api.js'
import { byId, cells, h, write } from './dom.js'
import { number, streamHref } from './format.js'

const box = byId('category-streams')
const body = byId('streams-table').tBodies[0]
const prefix = byId('streams-prefix')
let category
let last
let timer

prefix.addEventListener('input', () => {
  clearTimeout(timer)
  timer = setTimeout(() => load(), 250)
})
byId('streams-form').addEventListener('submit', (event) => event.preventDefault())
byId('more-streams').addEventListener('click', () => load(last))

/** Shows the streams of a category; undefined: of none. */
export function showStreams(name) {
  box.hidden = name === undefined
  if (name === undefined || name === category) {
    category = name
    return
  }
  category = name
  prefix.value = ''
  write(byId('streams-title'), `Streams of ${name}`)
  load()
}

async function load(after) {
  const asked = { category, prefix: prefix.value, ...(after === undefined ? {} : { after }) }
  if (after === undefined) body.replaceChildren()
  try {
    const { streams, more } = await get('/api/streams', asked)
    if (asked.category !== category || asked.prefix !== prefix.value) return
    body.append(...streams.map(row))
    last = streams.at(-1)?.streamId
    byId('more-streams').hidden = !more
    write(byId('streams-note'), body.rows.length === 0 ? 'There are no such streams.' : '')
    if (after === undefined) box.scrollIntoView({ block: 'nearest' })
  } catch (error) {
    write(byId('streams-note'), error.message)
  }
}

const row = ({ streamId, version, lastPosition }) =>
  h(
    'tr',
    {},
    ...cells(
      ['Stream', 'name', h('a', { href: streamHref(category, streamId) }, streamId)],
      ['Events', 'n', number(version + 1)],
      ['Last position', 'n', number(lastPosition)],
    ),
  )
