// Parsers of command-line arguments and options.
import { InvalidArgumentError } from 'commander'
import type { From } from '../live/observer.ts'

/** The command was called with wrong arguments, and commander could not know that: the exit code is 2. */
export class UsageError extends Error {}

/** Parses a whole number from `least` to `most`. */
export function integer(least = 0, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^-?\d+$/.test(text) || !(value >= least && value <= most))
      throw new InvalidArgumentError(
        `It must be a whole number, at least ${least}${most < Number.MAX_SAFE_INTEGER ? `, at most ${most}` : ''}.`,
      )
    return value
  }
}

/** Parses a list of names, `a,b`. If the option comes again, the names are added. */
export function list(text: string, before: string[] = []): string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.includes('')) throw new InvalidArgumentError('It must be names separated by commas.')
  return [...before, ...names]
}

/** Parses a moment, such as `2026-01-31`, `2026-01-31 14:00` (in local time) or `2026-01-31T14:00Z`. */
export function moment(text: string): { since: Date } {
  const since = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text)
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(since.getTime()))
    throw new InvalidArgumentError("It must be a time, such as '2026-01-31 14:00' or 2026-01-31T14:00Z.")
  return { since }
}

/** Parses `start`, `end`, a position to start after, or a moment. */
export function startPosition(text: string): From {
  if (text === 'start' || text === 'end') return text
  if (/^\d{4}-\d\d-/.test(text)) return moment(text)
  const after = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(after))
    throw new InvalidArgumentError(
      `It must be start, end, a position up to ${Number.MAX_SAFE_INTEGER}, or a time such as '2026-01-31 14:00'.`,
    )
  return { after }
}

/** Parses JSON of an argument or a line; `what` names it in the error. */
export function json(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${what} is not JSON: ${jsonProblem(error)}`)
  }
}

/** The message of JSON.parse, without the part of the text that it quotes. */
export const jsonProblem = (error: unknown): string =>
  (error as Error).message.replace(/,? ?(\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, '')

/**
 * `--embedded [dir]` takes the next word only if it looks like a path. In `--embedded read` that word is the command, and in
 * `worker --embedded mailer` it is an argument.
 */
export function embeddedOption(argv: readonly string[]): string[] {
  const words: string[] = []
  for (const word of argv) {
    if (words.at(-1) !== '--embedded') words.push(word)
    else if (/^[./~]|[/\\]/.test(word)) words.splice(-1, 1, `--embedded=${word}`)
    else words.splice(-1, 1, '--embedded=', word)
  }
  return words.map((word) => (word === '--embedded' ? '--embedded=' : word))
}

/** The properties that have a value. */
export function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as any
}
