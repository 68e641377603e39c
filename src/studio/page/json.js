// Shows JSON text in colours.

import { h } from './dom.js'
import { searchHref } from './format.js'

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g

const IDS = ['"correlationId"', '"causationId"']

/** JSON text with keys and values told apart by colour. `linked`: correlation and causation ids are links to what belongs together. */
export function json({ text, cut }, linked = false) {
  const parts = []
  let key
  let end = 0
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > end) parts.push(text.slice(end, match.index))
    const [token, string, colon] = match
    parts.push(
      string && !colon && linked && IDS.includes(key) && !string.endsWith('…"')
        ? h('a', { class: 'id', href: searchHref(JSON.parse(string)) }, string)
        : string
          ? h('span', { class: colon ? 'key' : 'string' }, string)
          : h('span', { class: 'atom' }, token),
    )
    if (colon) parts.push(colon)
    key = colon ? string : undefined
    end = match.index + token.length
  }
  parts.push(text.slice(end))
  if (cut) parts.push(h('em', {}, '\n… there is more, which is not shown'))
  return parts
}
