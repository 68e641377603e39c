// The view of categories.

import { byId, cells, h, keyed, write } from './dom.js'
import { number } from './format.js'
import { plot } from './plot.js'

const KEPT = 900 // samples, as the server
const table = byId('category-table')
const body = table.tBodies[0]
const draw = plot(byId('rates'), 'events/s')
let rates = { at: [], values: [] }
let latest = { categories: [], all: 0 }
let order = { by: 'category', down: false }

/** The names of all categories that are shown. */
export const names = () => latest.categories.map(({ category }) => category)
/** The position of a category's last event. */
export const lastPosition = (category) =>
  latest.categories.find((one) => one.category === category)?.lastPosition

for (const th of table.tHead.rows[0].cells) {
  th.firstElementChild.addEventListener('click', () => {
    const by = th.dataset.sort
    order = { by, down: order.by === by ? !order.down : by !== 'category' }
    render()
  })
}

/** What it was before this page came. */
export function startRates(value) {
  rates = value
}

export function heardCategories(value) {
  latest = value
  render()
}

export function heardRate({ at, rate }) {
  rates.at.push(at)
  rates.values.push(rate)
  if (rates.at.length > KEPT) {
    rates.at.shift()
    rates.values.shift()
  }
  if (!byId('categories').hidden) draw(rates.at, rates.values)
}

function compare(a, b) {
  const { by, down } = order
  const difference = by === 'category' ? a.category.localeCompare(b.category) : a[by] - b[by]
  return (down ? -difference : difference) || a.category.localeCompare(b.category)
}

function render() {
  for (const th of table.tHead.rows[0].cells) {
    if (th.dataset.sort === order.by) th.setAttribute('aria-sort', order.down ? 'descending' : 'ascending')
    else th.removeAttribute('aria-sort')
  }
  const most = Math.max(1, ...latest.categories.map(({ rate }) => rate))
  keyed(
    body,
    [...latest.categories].sort(compare),
    ({ category }) => category,
    make,
    (row, info) => {
      const [, rate, events, streams, last] = row.cells
      rate.style.setProperty('--part', info.rate / most)
      write(rate, info.rate > 0 ? number(info.rate) : '·')
      write(events, number(info.events))
      write(streams.firstElementChild, number(info.streams))
      write(last, number(info.lastPosition))
    },
  )
  const rest = latest.all - latest.categories.length
  write(
    byId('category-note'),
    latest.all === 0 ? 'No events yet.' : rest > 0 ? `${number(rest)} more categories hold less.` : '',
  )
}

const make = ({ category }) =>
  h(
    'tr',
    {},
    ...cells(
      [
        'Category',
        'name',
        h('a', { href: `#/tail/${encodeURIComponent(category)}`, title: 'Its tail' }, category),
      ],
      ['Per second', 'n bar'],
      ['Events', 'n'],
      [
        'Streams',
        'n',
        h('a', { class: 'id', href: `#/categories/${encodeURIComponent(category)}`, title: 'Its streams' }),
      ],
      ['Last position', 'n'],
    ),
  )
