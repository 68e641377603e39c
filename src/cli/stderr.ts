// Writes messages for people to stderr, while data goes to stdout.
import { every, now } from '../core/clock.ts'
import { messageOf as plainMessageOf } from '../core/describe.ts'
import type { Logger } from '../core/logger.ts'
import { redact, redactText } from '../core/secrets.ts'
import { plain } from './output.ts'

/** How often a bar moves on a terminal, and how often a line is written if stderr is not a terminal. */
const BAR_MS = 100
const LINE_MS = 5_000

/** stderr: notes, errors, logs and progress. */
export class Stderr {
  readonly #stream = process.stderr
  readonly #verbose: boolean
  #bar: Progress | undefined

  constructor(verbose: boolean) {
    this.#verbose = verbose
    this.#stream.on('error', () => {}) // stderr may be closed: that must not stop the command
  }

  note(text: string): void {
    this.#write(`${redactText(text)}\n`)
  }

  /** Writes an error in one line; with --verbose, in full. */
  async error(error: unknown): Promise<void> {
    if (!this.#verbose) return this.note(`meowmx: ${messageOf(error)}`)
    const { inspect } = await import('node:util')
    this.note(`meowmx: ${inspect(redact(error))}`)
  }

  /** Shows the progress of long work: a bar on a terminal, otherwise a line now and then. */
  progress(what: string): Progress {
    const tty = this.#stream.isTTY === true
    this.#bar = new Progress(
      what,
      tty ? BAR_MS : LINE_MS,
      (line) => {
        if (!tty) this.#stream.write(`${line}\n`)
        else this.#stream.write(`\r${line.slice(0, (this.#stream.columns || 80) - 1)}\u001b[K`)
      },
      () => {
        if (tty) this.#stream.write('\r\u001b[K')
      },
    )
    return this.#bar
  }

  /** The logger of the library: warnings and errors in one line each; with --verbose, all levels. */
  readonly logger: Logger = {
    debug: (...args) => this.#log('debug', args),
    info: (...args) => this.#log('info', args),
    warn: (...args) => this.#log('warning', args),
    error: (...args) => this.#log('error', args),
  }

  #log(level: string, args: unknown[]): void {
    const [fields, message] =
      args.length > 1 ? (args as [Record<string, unknown>, string]) : [{}, String(args[0])]
    if (!this.#verbose && (level === 'debug' || level === 'info')) return
    const { err, ...rest } = fields
    const details = Object.entries(rest).map(([name, value]) => `${name}=${plain(String(value))}`)
    const cause = err === undefined ? '' : `: ${messageOf(err)}`
    this.note(`${level}: ${message}${cause}${details.length > 0 ? ` (${details.join(' ')})` : ''}`)
  }

  #write(text: string): void {
    this.#bar?.clear()
    this.#stream.write(text)
  }
}

/** The progress of long work. */
export class Progress {
  readonly #what: string
  readonly #forget: () => void
  readonly #clear: () => void
  readonly #began = now()
  #done = 0
  #share: number | undefined

  constructor(what: string, everyMs: number, show: (line: string) => void, clear: () => void) {
    this.#what = what
    this.#clear = clear
    this.#forget = every(everyMs, () => show(this.#line()), { ref: false })
  }

  /** `done` is the number so far; `share` is the part that is done, from 0 to 1, if it is known. */
  update(done: number, share?: number): void {
    this.#done = done
    this.#share = share
  }

  /** How many a second. */
  get rate(): number {
    return Math.round((this.#done / Math.max(now() - this.#began, 1)) * 1000)
  }

  clear(): void {
    this.#clear()
  }

  end(): void {
    this.#forget()
    this.#clear()
  }

  #line(): string {
    const text = `${this.#what} ${count(this.#done)}, ${count(this.rate)} a second`
    const share = this.#share
    if (share === undefined) return text
    const seconds = (now() - this.#began) / 1000
    const left = share > 0 ? Math.ceil(seconds / share - seconds) : 0
    const bar = '█'.repeat(Math.round(share * 20)).padEnd(20, '░')
    return `${bar} ${Math.floor(share * 100)}% ${text}, ${left} s left`
  }
}

/** Formats 1234567 as 1,234,567. */
export const count = (n: number): string => n.toLocaleString('en-US')

/** The message of an error, without credentials and control characters. */
export function messageOf(error: unknown): string {
  return redactText(plainMessageOf(error)).split('\n').map(plain).join('\n')
}

/** Formats a number; an estimate begins with ~. */
export const approximate = (n: number, isEstimate: boolean): string => `${isEstimate ? '~' : ''}${count(n)}`

/** 1 event, 1,234 events, ~5,000 events. */
export const counted = (n: number, what: string, isEstimate = false): string =>
  `${approximate(n, isEstimate)} ${what}${n === 1 ? '' : 's'}`
