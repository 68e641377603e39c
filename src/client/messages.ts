// Reads server-sent events from the body of a response.

/** A message: its kind, and its data as text. */
export interface Message {
  readonly kind: string
  readonly data: string
}

/** The messages of a text that arrives in pieces. `feed` returns those that became whole. */
export function messageReader(): (piece: string) => Message[] {
  let rest = ''
  let kind = ''
  let data: string[] = []
  return (piece) => {
    const found: Message[] = []
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()!
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) found.push({ kind, data: data.join('\n') })
        kind = ''
        data = []
        continue
      }
      const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!
      if (field === 'event') kind = value
      if (field === 'data') data.push(value)
    }
    return found
  }
}
