// Keyboard shortcuts.

import { byId } from './dom.js'
import { pause } from './tail.js'
import { nextTheme } from './theme.js'

const help = byId('help')
const views = [...document.querySelectorAll('nav a')]
byId('keys').addEventListener('click', () => help.showModal())

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return
  const field = event.target.closest('input, textarea, select')
  if (field) {
    if (event.key === 'Escape') field.blur()
    if (field.type !== 'range') return
  }
  if (act(event.key, event.target)) event.preventDefault()
})

function act(key, target) {
  if (views[key - 1]) return go(views[key - 1])
  if (key === '/') return search()
  if (key === 't') return done(nextTheme())
  if (key === '?') return done(help.showModal())
  if (key === ' ' && !byId('tail').hidden && !target.closest('button, summary')) return done(pause())
  if (key === 'ArrowDown' || key === 'ArrowUp') return step(key === 'ArrowDown' ? 1 : -1)
  const sideways = { ArrowLeft: -1, ArrowRight: 1 }[key]
  if (sideways && target.closest('nav')) {
    const link = views[(views.indexOf(target) + sideways + views.length) % views.length]
    link.focus()
    return go(link)
  }
  // The version of a stream, wherever the focus is, but in what scrolls sideways itself.
  const button = { ArrowLeft: 'back', ArrowRight: 'forth', Home: 'first', End: 'last' }[key]
  if (button && !byId('stream').hidden && !target.closest('input, pre')) return done(byId(button).click())
  return false
}

const done = () => true

function go(link) {
  location.hash = link.hash
  return true
}

function search() {
  const field = byId('stream').hidden ? byId('filter') : byId('stream-category')
  if (!byId('stream').hidden || !byId('tail').hidden) {
    field.focus()
    field.select()
    return true
  }
  location.hash = '#/tail'
  addEventListener('hashchange', () => setTimeout(() => field.focus()), { once: true })
  return true
}

/** From the link of a row to that of the next. */
function step(by) {
  const rows = [...document.querySelectorAll('section:not([hidden]) :is(tbody, ol) a[href]')]
  const at = rows.indexOf(document.activeElement)
  if (at < 0 && document.activeElement !== document.body) return false
  const next = rows[at < 0 ? 0 : at + by]
  next?.focus()
  return next !== undefined
}
