// Reads the values of a JSON object as text.
/**
 * The members of a JSON object, each value as text, exactly as it is written. JSON.parse would round large numbers, and
 * PostgreSQL rejects only \u0000. The text must be an object that JSON.parse accepts.
 */
export function members(text: string): Map<string, string> {
  const found = new Map<string, string>()
  let at = text.indexOf('{') + 1
  for (;;) {
    const open = text.indexOf('"', at)
    if (open < 0) return found // an empty object, or the end
    const close = endOfString(text, open)
    const begin = text.indexOf(':', close) + 1
    const end = endOfValue(text, begin)
    found.set(JSON.parse(text.slice(open, close)), text.slice(begin, end).trim())
    if (text[end] !== ',') return found
    at = end + 1
  }
}

/** The offset after the string that begins at `open`. */
function endOfString(text: string, open: number): number {
  for (let quote = text.indexOf('"', open + 1); ; quote = text.indexOf('"', quote + 1)) {
    let slashes = 0
    while (text[quote - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return quote + 1
  }
}

/** The offset of the comma or brace after the value that begins at `begin`. */
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
