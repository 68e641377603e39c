// Runs the command of `worker --exec`.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after } from '../core/clock.ts'
import { Condition } from '../core/condition.ts'
import { withTimeout } from '../core/timeout.ts'
import type { Stderr } from './stderr.ts'

/** How many characters of a command's stderr are kept for the error. */
const STDERR_KEPT = 4_000
/** How long a command that is told to end may take. */
const GRACE_MS = 5_000
/** How long to wait for the rest of its stderr. */
const STDERR_WAIT_MS = 500

/** The shell's exit codes for a command that cannot be run. The event is not the cause. */
const NOT_RUNNABLE = [126, 127]

/** A command of the user did not exit with 0. Its stack would not help, and is left out of what the store keeps. */
export class CommandFailure extends Error {
  /** Whether the command cannot be run at all. */
  readonly fatal: boolean

  constructor(how: string, stderrText: string, fatal: boolean) {
    super(`the command ${how}${stderrText ? `: ${stderrText}` : ''}`)
    this.name = 'CommandFailure'
    this.fatal = fatal
    this.stack = this.message
  }
}

/**
 * Runs a command with the shell, in a process group of its own. So Ctrl-C in the terminal reaches only this process, which
 * waits for the command, and a command is ended together with everything that it has started.
 */
export class Shell {
  readonly #command: string
  readonly #env: NodeJS.ProcessEnv
  readonly #groups = new Set<number>()
  readonly #ended = new Condition()

  constructor(command: string, env: NodeJS.ProcessEnv, stderr: Stderr) {
    this.#command = command
    this.#env = { ...process.env, ...env }
    stderr.logger.debug(`each event runs: ${command}`)
    // If this process ends at once (a second Ctrl-C), no command must go on.
    process.on('exit', () => {
      for (const group of this.#groups) kill(group, 'SIGTERM')
    })
  }

  /** Runs the command once; rejects with a CommandFailure. The signal ends it only after a timeout, not when the worker stops. */
  async run(input: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
    const child = spawn(this.#command, {
      shell: true,
      detached: true,
      stdio: ['pipe', 'inherit', 'pipe'],
      env: { ...this.#env, ...env },
    })
    const group = child.pid
    if (group !== undefined) this.#groups.add(group)
    let stderrText = ''
    // If this process cannot open another file, there are no pipes; the event `error` below says so.
    child.stderr
      ?.setEncoding('utf8')
      .on('error', () => {})
      .on('data', (text: string) => {
        process.stderr.write(text)
        stderrText = (stderrText + text).slice(-STDERR_KEPT)
      })
    child.stdin?.on('error', () => {}) // it need not read its stdin
    child.stdin?.end(input)
    const end = () => {
      const { code } = (signal.reason ?? {}) as { code?: string }
      if (group === undefined || code !== 'ERR_TIMEOUT') return
      kill(group, 'SIGTERM')
      after(GRACE_MS, () => kill(group, 'SIGKILL'), { ref: false })
    }
    signal.addEventListener('abort', end)
    try {
      await new Promise<void>((resolve, reject) => {
        child.on('error', (error) =>
          reject(new CommandFailure(`could not be started (${error.message})`, '', true)),
        )
        child.on('exit', async (code, killed) => {
          if (code === 0) return resolve()
          // A process that it left running may keep its stderr open.
          await withTimeout(
            STDERR_WAIT_MS,
            () => once(child, 'close'),
            () => [],
          )
          const how = killed ? `was ended by signal ${killed}` : `ended with exit code ${code}`
          reject(new CommandFailure(how, stderrText.trim(), NOT_RUNNABLE.includes(code ?? 0)))
        })
      })
    } finally {
      signal.removeEventListener('abort', end)
      if (group !== undefined) this.#groups.delete(group)
      this.#ended.fire()
    }
  }

  /** Ends the commands that still run, because nobody waits for them any more. */
  async end(): Promise<void> {
    for (const group of this.#groups) kill(group, 'SIGTERM')
    const forget = after(GRACE_MS, () => {
      for (const group of this.#groups) kill(group, 'SIGKILL')
    })
    while (this.#groups.size > 0) await this.#ended.next()
    forget()
  }
}

function kill(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch {
    // it has ended
  }
}
