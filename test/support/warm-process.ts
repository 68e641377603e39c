import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { FileResult } from './judge.ts'
import { END, judge, refuse } from './judge.ts'
import { killGroup } from './kill-group.ts'
import { typescript } from './typescript.ts'

/**
 * Runs test files one after another in one process, where the library is loaded and compiled once: a file of its own process
 * takes 1 to 2 s of CPU time more. A file that hangs or crashes fails, and the next one gets a new process.
 */
export class WarmProcess {
  #child: ChildProcess | undefined
  #exited!: Promise<[number | null, string | null]>
  #stdout = ''
  #output = ''
  #told = () => {} // something was printed

  readonly #env: Record<string, string>

  constructor(env: Record<string, string>) {
    this.#env = env
  }

  async run(file: string, timeoutMs: number, signal: AbortSignal): Promise<FileResult> {
    const refused = refuse(file)
    if (refused) return refused
    this.#child ??= this.#start()
    const child = this.#child
    this.#stdout = this.#output = ''
    let timedOut = false
    const kill = () => killGroup(child.pid)
    const timer = setTimeout(() => {
      timedOut = true
      kill()
    }, timeoutMs)
    signal.addEventListener('abort', kill)
    const printed = new Promise<undefined>((resolve) => {
      this.#told = () => this.#stdout.includes(END) && resolve(undefined)
    })
    child.send(file)
    const ended = await Promise.race([this.#exited, printed])
    clearTimeout(timer)
    signal.removeEventListener('abort', kill)
    if (!ended) {
      const [stdout, end] = this.#stdout.split(END)
      const [code, cpu] = end!.trim().split(' ').map(Number)
      const output = this.#output.replace(new RegExp(`${END}.*\n`), '')
      return { ...judge(stdout!, `exit code ${code}`), output, cpuSeconds: cpu }
    }
    this.#child = undefined
    kill()
    const end = timedOut
      ? `still running after ${timeoutMs} ms`
      : `ended by ${ended[1] ?? `exit code ${ended[0]}`}`
    return { ...judge(this.#stdout, end), output: this.#output }
  }

  /** Ends the process. Returns what is wrong if it does not end by itself: a test has left something open. */
  async end(withinMs = 30_000): Promise<string | undefined> {
    const child = this.#child
    if (!child) return undefined
    this.#stdout = this.#output = ''
    child.send('')
    const code = await Promise.race([
      this.#exited.then(([code, signal]) => code ?? signal),
      delay(withinMs, 'late', { ref: false }),
    ])
    killGroup(child.pid)
    if (code === 0) return undefined
    return code === 'late'
      ? `something that a file left open keeps their process running\n${this.#output}`
      : `their process ended with ${code}\n${this.#output}`
  }

  #start(): ChildProcess {
    const file = new URL('warm-child.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [...typescript, file], {
      detached: true, // the leader of a process group, which can be killed as a whole
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...this.#env, NO_COLOR: '1', FORCE_COLOR: undefined },
    })
    this.#exited = once(child, 'exit') as Promise<[number | null, string | null]>
    child.stdout!.setEncoding('utf8').on('data', (text) => {
      this.#stdout += text
      this.#output += text
      this.#told()
    })
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      this.#output += text
    })
    return child
  }
}
