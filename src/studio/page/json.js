// Shows JSON text in colours.

import { h } from './dom.js'

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g

/** JSON text with keys and values told apart by colour. */
export function json({ text, cut }) {
  const parts = []
  let end = 0
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > end) parts.push(text.slice(end, match.index))
    const [token, string, colon] = match
    parts.push(
      string ? h('span', { class: colon ? 'key' : 'string' }, string) : h('span', { class: 'atom' }, token),
    )
    if (colon) parts.push(colon)
    end = match.index + token.length
  }
  parts.push(text.slice(end))
  if (cut) parts.push(h('em', {}, '\n… there is more, which is not shown'))
  return parts
}
