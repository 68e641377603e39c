// Light and dark colours.

import { byId } from './dom.js'

const KEY = 'meowmx.studio.theme'
const THEMES = ['auto', 'light', 'dark']
const SIGNS = { auto: '◐', light: '☀', dark: '☾' }
const WORDS = { auto: 'as the system has them', light: 'light', dark: 'dark' }
const system = matchMedia('(prefers-color-scheme: dark)')
const changed = new Set()
let theme = localStorage.getItem(KEY)
if (!THEMES.includes(theme)) theme = 'auto'

function apply() {
  const dark = theme === 'dark' || (theme === 'auto' && system.matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
  const button = byId('theme')
  button.textContent = SIGNS[theme]
  button.setAttribute('aria-label', `Colours: ${WORDS[theme]}`)
  for (const call of changed) call()
}

export function nextTheme() {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]
  localStorage.setItem(KEY, theme)
  apply()
}

/** Calls back when the colours change, to draw again. */
export const onTheme = (call) => changed.add(call)

export const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

byId('theme').addEventListener('click', nextTheme)
system.addEventListener('change', apply)
apply()
