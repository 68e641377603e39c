import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { original } from './bundle.ts'
import { program } from './typescript.ts'

export interface FileResult {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** Why the file failed; absent where it passed. */
  readonly reason?: string
  readonly output: string
  /** What the process and its children took, where the system tells; not what the server did for them. */
  readonly cpuSeconds?: number | undefined
}

/**
 * Runs one uvu file as a process of its own and judges what it said and how it ended, since uvu's own exit code is 0 for
 * a throwing `before`, a thrown string and tests that never ran. The process and all it started are killed at the end.
 */
export async function runFile(
  file: string,
  timeoutMs: number,
  signal: AbortSignal,
  env: Record<string, string> = {},
): Promise<FileResult> {
  const complaint = complain(readFileSync(file, 'utf8'))
  if (complaint) return { passed: 0, failed: 1, skipped: 0, reason: complaint, output: '' }

  const child = spawn(process.execPath, program(file), {
    detached: true, // the leader of a process group, which can be killed as a whole
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env, NO_COLOR: '1', FORCE_COLOR: undefined },
  })
  let [summary, output] = ['', ''] // apart, since what comes on stderr may fall between two lines of stdout
  child.stdout.setEncoding('utf8').on('data', (text) => {
    summary += text
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  const closed = once(child, 'close')
  let cpuSeconds: number | undefined
  child.once('exit', () => {
    cpuSeconds = newlyEnded()
  })
  let timedOut = false
  const kill = () => killGroup(child.pid)
  const timer = setTimeout(() => {
    timedOut = true
    kill()
  }, timeoutMs)
  signal.addEventListener('abort', kill)
  const [code, deadly] = (await once(child, 'exit')) as [number | null, string | null]
  clearTimeout(timer)
  signal.removeEventListener('abort', kill)
  kill()
  await Promise.race([closed, delay(1000, undefined, { ref: false })]) // a daemon of the test's may hold on to the pipes
  for (const pipe of [child.stdout, child.stderr]) pipe.destroy()

  const end = timedOut
    ? `still running after ${timeoutMs} ms`
    : deadly
      ? `ended by ${deadly}`
      : `exit code ${code}`
  return { ...judge(summary, end), cpuSeconds, output: await original(output, file).catch(() => output) } // esbuild ends at Ctrl-C, too
}

let ended = 0

/** The CPU time of the processes that have ended since the last call, with their children, in seconds (Linux). */
function newlyEnded(): number | undefined {
  try {
    const fields = readFileSync('/proc/self/stat', 'utf8').replace(/.*\) /, '').split(' ')
    const before = ended
    ended = (Number(fields[13]) + Number(fields[14])) / 100
    return ended - before
  } catch {
    return undefined
  }
}

function killGroup(pid: number | undefined): void {
  try {
    process.kill(-pid!, 'SIGKILL')
  } catch {
    // nothing left of it
  }
}

/** What uvu would let pass without a word: tests that are not run. */
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

function judge(stdout: string, end: string): Omit<FileResult, 'output'> {
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
