import { InvalidArgumentError } from 'commander'
import type { From } from '../live/observer.ts'

/** The command was called wrongly, which its options alone do not tell: ends with 2. */
export class UsageError extends Error {}

/** An option that is a whole number, at least `least`, and at most `most`. */
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

/** An option that names several, `a,b`, and may come again. */
export function list(text: string, before: string[] = []): string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.includes('')) throw new InvalidArgumentError('It must be names with commas between them.')
  return [...before, ...names]
}

/** `start`, `end` or a position to begin after. */
export function place(text: string): From {
  if (text === 'start' || text === 'end') return text
  const after = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(after))
    throw new InvalidArgumentError(`It must be start, end or a position up to ${Number.MAX_SAFE_INTEGER}.`)
  return { after }
}

/** JSON of an argument or a line; `what` names it where it is none. */
export function json(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${what} is no JSON: ${jsonProblem(error)}`)
  }
}

/** What JSON.parse says, without the piece of the text that it quotes. */
export const jsonProblem = (error: unknown): string =>
  (error as Error).message.replace(/,? ?(\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, '')

/**
 * `--embedded [dir]` takes the word behind it only where that looks like a path: in `--embedded read` it is the command,
 * and in `worker --embedded mailer` an argument.
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
