// Pause, resume and reset of the chosen subscription.

import { post } from './api.js'
import { ask } from './ask.js'
import { byId, write } from './dom.js'
import { number } from './format.js'

const [pause, resume, reset] = ['pause', 'resume', 'reset'].map((what) => byId(`${what}-subscription`))
const note = (text) => write(byId('operation-note'), text)
let may = false
let chosen

export function allowOperations(write) {
  may = write
  showOperations(chosen)
}

/** Shows what can be done with a subscription. */
export function showOperations(info) {
  if (info?.name !== chosen?.name) note('')
  chosen = info
  byId('operations').hidden = !may || !info
  if (!info) return
  pause.hidden = info.status === 'paused'
  resume.hidden = !pause.hidden
  reset.hidden = false
}

pause.addEventListener('click', () => {
  const { name } = chosen
  const text = `No process handles events of "${name}" until it is resumed, whatever is restarted meanwhile. What is being handled ends. Nothing is lost: new events wait.`
  ask({ title: `Pause "${name}"?`, text, yes: 'Pause' }, async () => {
    await post('/api/pause', { subscription: name })
    note('It is paused.')
  })
})

resume.addEventListener('click', () => {
  const { name } = chosen
  const text = `All processes of "${name}" go on with the events that have waited.`
  ask({ title: `Resume "${name}"?`, text, yes: 'Resume' }, async () => {
    await post('/api/resume', { subscription: name })
    note('It goes on.')
  })
})

reset.addEventListener('click', () => {
  const { name, parkedStreams, parked } = chosen
  const lost =
    parkedStreams > 0
      ? ` It forgets its ${number(parked)} parked events of ${number(parkedStreams)} streams: those before the new position are never handled.`
      : ''
  const text = `It continues at another position. Events after that position are handled again, with all their effects; events that it jumps over are never handled. Its own position is forgotten.${lost} This cannot be undone.`
  const fields = [
    { name: 'to', label: 'To: start, end, a position to continue after, or a time such as 2026-01-31 14:00' },
    { name: 'confirm', label: `Type the name of the subscription: ${name}` },
  ]
  ask({ title: `Reset "${name}"?`, text, yes: 'Reset', fields }, async ({ to, confirm }) => {
    if (confirm !== name) throw new Error('That is not the name of the subscription.')
    const { position } = await post('/api/reset', { subscription: name, confirm, to: place(to.trim()) })
    note(`It continues after position ${number(position)}.`)
  })
})

function place(text) {
  if (text === 'start' || text === 'end') return text
  if (/^\d+$/.test(text)) return { after: Number(text) }
  const since = time(text)
  if (!since) throw new Error('It must be start, end, a position, or a time such as 2026-01-31 14:00.')
  return { since }
}

/** A time in ISO format; without a time zone it is the one of this browser. Undefined: it is not a time. */
export function time(text) {
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return undefined
  const date = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
}
