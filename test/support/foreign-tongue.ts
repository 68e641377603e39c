import { startProxy } from './proxy.ts'

/** The severities of a server whose lc_messages is ru_RU. */
const WORDS: Record<string, string> = {
  ERROR: 'ОШИБКА',
  FATAL: 'ВАЖНО',
  PANIC: 'ПАНИКА',
  WARNING: 'ПРЕДУПРЕЖДЕНИЕ',
  NOTICE: 'ЗАМЕЧАНИЕ',
}

/** Translates the fields of an ErrorResponse. */
export function errorMessage(severity: string, code: string): Buffer {
  return framed('E', { S: severity, V: severity, C: code, M: 'текст' })
}

/**
 * A server in another language: the severity (S) and the text (M) of its messages are translated, as with lc_messages; fields
 * that no server translates (V, C, names) stay. The result of `stop` is the last message that the server sends on a connection.
 */
export function startForeignProxy(
  target: string,
  stop: (type: string) => Buffer | undefined = () => undefined,
): ReturnType<typeof startProxy> {
  return startProxy(target, (reset) => {
    let rest = Buffer.alloc(0)
    let stopped = false
    return {
      there() {},
      back(chunk) {
        if (stopped) return undefined
        rest = Buffer.concat([rest, chunk])
        const said: Buffer[] = []
        while (rest.length >= 5 && rest.length >= 1 + rest.readInt32BE(1)) {
          const end = 1 + rest.readInt32BE(1)
          const message = rest.subarray(0, end)
          rest = rest.subarray(end)
          const type = String.fromCharCode(message[0]!)
          const last = stop(type)
          said.push(last ?? (type === 'E' || type === 'N' ? translated(message) : message))
          if (!last) continue
          stopped = true
          setTimeout(reset, 20)
          break
        }
        return said.length > 0 ? Buffer.concat(said) : undefined
      },
    }
  })
}

function translated(message: Buffer): Buffer {
  const fields = message.subarray(5).toString('utf8').split('\0').filter(Boolean)
  return framed(
    String.fromCharCode(message[0]!),
    Object.fromEntries(fields.map((field) => [field[0]!, field.slice(1)])),
  )
}

function framed(type: string, { S = '', M = '', ...others }: Record<string, string>): Buffer {
  const fields = { S: WORDS[S] ?? S, ...others, M: `по-русски: ${[...M].reverse().join('')}` }
  const body = Buffer.from(
    `${Object.entries(fields)
      .map(([name, value]) => `${name}${value}\0`)
      .join('')}\0`,
  )
  const head = Buffer.alloc(5, type)
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}
