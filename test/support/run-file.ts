import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { original } from './bundle.ts'
import type { FileResult } from './judge.ts'
import { judge, refuse } from './judge.ts'
import { killGroup } from './kill-group.ts'
import { program } from './typescript.ts'

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
  const refused = refuse(file)
  if (refused) return refused

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
