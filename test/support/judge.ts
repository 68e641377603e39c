import { readFileSync } from 'node:fs'

/** What a warm process prints after each file (warm-child.ts). */
export const END = '\0end of file'

export interface FileResult {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** Why the file failed; undefined if it passed. */
  readonly reason?: string
  readonly output: string
  /** The CPU time of the process and its children, if the system reports it; without that of the server. */
  readonly cpuSeconds?: number | undefined
}

/** A failure, if uvu would leave out tests of this file without a word. */
export function refuse(file: string): FileResult | undefined {
  const reason = complain(readFileSync(file, 'utf8'))
  return reason === undefined ? undefined : { passed: 0, failed: 1, skipped: 0, reason, output: '' }
}

/** What uvu would accept silently: tests that are not run. */
function complain(source: string): string | undefined {
  const only = source.split('\n').findIndex((line) => /\.only\s*\(/.test(line))
  if (only >= 0) return `.only on line ${only + 1} leaves out the other tests`
  const suites = [...source.matchAll(/^(?:const|let) +(\w+) *= *suite\b/gm)].map((match) => match[1]!)
  if (/^import\s*{[^}]*\btest\b[^}]*}\s*from 'uvu'/m.test(source)) suites.push('test')
  for (const suite of suites) {
    const rest = source.split(new RegExp(`^\\s*${suite}\\.run\\(\\)`, 'm'))
    if (rest.length < 2) return `${suite}.run() is missing`
    if (new RegExp(`^\\s*${suite}(\\.skip)?\\(`, 'm').test(rest.at(-1)!)) return `tests after ${suite}.run()`
  }
  return undefined
}

/** What a file's output and end say. `end`: how its process ended, or the corresponding result in a warm process. */
export function judge(stdout: string, end: string): Omit<FileResult, 'output'> {
  const summaries = [...stdout.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm)]
  const [total = 0, passed = 0, skipped = 0] = summaries.at(-1)?.slice(1).map(Number) ?? []
  const reasons = []
  if (summaries.length === 0) reasons.push('uvu did not finish')
  if (summaries.length > 1) reasons.push('uvu ran more than once, which leaves out tests')
  if (summaries.length === 1 && total + skipped === 0) reasons.push('no tests')
  if (passed !== total) reasons.push(`${total - passed} of ${total} tests did not pass`)
  if (end !== 'exit code 0') reasons.push(end)
  if (reasons.length === 0) return { passed, failed: 0, skipped }
  return { passed, failed: Math.max(1, total - passed), skipped, reason: reasons.join('; ') }
}
