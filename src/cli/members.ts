/**
 * The members of a JSON object, each value as its text stands there: parsed, numbers would be rounded, and PostgreSQL takes
 * no \u0000 apart. The text must be an object's that JSON.parse takes.
 */
export function members(text: string): Map<string, string> {
  const found = new Map<string, string>()
  let at = text.indexOf('{') + 1
  for (;;) {
    const open = text.indexOf('"', at)
    if (open < 0) return found // the end; an empty object
    const close = endOfString(text, open)
    const begin = text.indexOf(':', close) + 1
    const end = endOfValue(text, begin)
    found.set(JSON.parse(text.slice(open, close)), text.slice(begin, end).trim())
    if (text[end] !== ',') return found
    at = end + 1
  }
}

/** Behind the string that begins at `open`. */
function endOfString(text: string, open: number): number {
  for (let quote = text.indexOf('"', open + 1); ; quote = text.indexOf('"', quote + 1)) {
    let slashes = 0
    while (text[quote - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return quote + 1
  }
}

/** The comma or brace that ends the value that begins at `begin`. */
function endOfValue(text: string, begin: number): number {
  let depth = 0
  for (let i = begin; ; ) {
    const character = text[i]
    if (character === '"') {
      i = endOfString(text, i)
      continue
    }
    if (depth === 0 && (character === ',' || character === '}')) return i
    if (character === '{' || character === '[') depth++
    if (character === '}' || character === ']') depth--
    i++
  }
}
