// Whether this page may change anything, and the buttons that do.

import { h } from './dom.js'

const HINT = 'The studio is read only: start it with --write'
let may = false

export function allowChanges(write) {
  may = write
  permitAll(document)
}

/** A button that asks before it changes something; disabled while the studio is read only. */
export function action(label, title, click) {
  const button = h('button', { type: 'button', class: 'small', 'data-title': title, click }, label)
  permit(button)
  return button
}

function permitAll(element) {
  for (const button of element.querySelectorAll('button[data-title]')) permit(button)
}

function permit(button) {
  button.disabled = !may
  button.title = may ? button.dataset.title : HINT
}
