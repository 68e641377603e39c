// Writes to stdout: data, for people or for programs.
import { after } from '../core/clock.ts'
import { jsonText } from '../core/json-text.ts'

/** How many characters are collected before they are written. */
const CHUNK = 64 * 1024

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const
export type Style = keyof typeof STYLES

/** stdout: data, for people or (`json`) for programs. Await its methods if you write much. */
export class Output {
  readonly json: boolean
  readonly #colour: boolean
  readonly #stream = process.stdout
  #pending = ''
  #broken: Error | undefined

  /** `broken` is called when writing fails, for instance because the reader has ended. */
  constructor({ json, colour }: { json: boolean; colour: boolean }, broken: (error: Error) => void) {
    this.json = json
    this.#colour = colour
    this.#stream.on('error', (error) => {
      this.#broken ??= error
      broken(error)
    })
  }

  /** Writes one line of text. */
  async line(text: string): Promise<void> {
    this.#pending += `${text}\n`
    if (this.#pending.length === text.length + 1) after(0, () => this.flush().catch(() => {}))
    if (this.#pending.length >= CHUNK) await this.flush()
  }

  /** Writes a value as one line of JSON, or the text for people. */
  async say(value: object, text: string): Promise<void> {
    await this.line(this.json ? jsonText(value) : text)
  }

  /** Writes rows under headings; with --json, one line of JSON for each value. */
  async table<T extends object>(
    values: readonly T[],
    columns: Record<string, (value: T) => string>,
  ): Promise<void> {
    if (this.json) {
      for (const value of values) await this.line(jsonText(value))
      return
    }
    if (values.length === 0) return
    const heads = Object.keys(columns)
    const cells = values.map((value) => Object.values(columns).map((cell) => plain(cell(value))))
    const widths = heads.map((head, i) => Math.max(head.length, ...cells.map((row) => [...row[i]!].length)))
    const numeric = heads.map((_, i) => cells.every((row) => /^[-~]?[\d,.]*$/.test(row[i]!)))
    const pad = (text: string, i: number) => {
      const gap = ' '.repeat(widths[i]! - [...text].length)
      return numeric[i] ? gap + text : text + gap
    }
    const row = (texts: string[]) => texts.map(pad).join('  ').trimEnd()
    await this.line(this.style('bold', row(heads.map((head) => head.toUpperCase()))))
    for (const texts of cells) await this.line(row(texts))
  }

  style(style: Style, text: string): string {
    return this.#colour ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text
  }

  /** Resolves when everything was written; rejects if writing fails. */
  async flush(): Promise<void> {
    if (this.#broken) throw this.#broken
    if (this.#pending === '') return
    const text = this.#pending
    this.#pending = ''
    // The callback says that the text was written, which the event `drain` does not.
    await new Promise<void>((resolve, reject) => {
      this.#stream.write(text, (error) => (error ? reject(error) : resolve()))
    })
  }
}

/** Text from events or users, safe for a terminal: control characters become \u.... */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are what it replaces
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
