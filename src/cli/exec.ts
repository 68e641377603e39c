import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, sleep } from '../core/clock.ts'
import { Condition } from '../core/condition.ts'
import type { Talk } from './talk.ts'

/** Of what a command says on stderr, the end is kept: so many characters. */
const KEPT = 4_000
/** How long a command that is told to end may take. */
const GRACE_MS = 5_000
/** How long to wait for the rest of what it said. */
const LAST_WORDS_MS = 500

/** The shell's words for what can't be run: no fault of an event. */
const NOT_RUN = [126, 127]

/** A command of the user's that did not exit with 0. Its stack is no help, and is left out where it is kept. */
export class CommandFailure extends Error {
  /** It can't be run at all. */
  readonly fatal: boolean

  constructor(how: string, said: string, fatal: boolean) {
    super(`the command ${how}${said ? `: ${said}` : ''}`)
    this.name = 'CommandFailure'
    this.fatal = fatal
    this.stack = this.message
  }
}

/**
 * Runs a command by the shell, in a process group of its own: a Ctrl-C on the terminal is for us, who wait for it; and
 * what is ended is ended with all that it started.
 */
export class Shell {
  readonly #command: string
  readonly #env: NodeJS.ProcessEnv
  readonly #groups = new Set<number>()
  readonly #ended = new Condition()

  constructor(command: string, env: NodeJS.ProcessEnv, talk: Talk) {
    this.#command = command
    this.#env = { ...process.env, ...env }
    talk.logger.debug(`each event runs: ${command}`)
    // Ended in haste (a second Ctrl-C), nothing is to go on behind our back.
    process.on('exit', () => {
      for (const group of this.#groups) kill(group, 'SIGTERM')
    })
  }

  /** One run; rejects with a CommandFailure. It is ended where its time is up, not where we are to stop. */
  async run(input: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
    const child = spawn(this.#command, {
      shell: true,
      detached: true,
      stdio: ['pipe', 'inherit', 'pipe'],
      env: { ...this.#env, ...env },
    })
    const group = child.pid
    if (group !== undefined) this.#groups.add(group)
    let said = ''
    // There are no pipes where this process has no file left to open; `error` below tells.
    child.stderr
      ?.setEncoding('utf8')
      .on('error', () => {})
      .on('data', (text: string) => {
        process.stderr.write(text)
        said = (said + text).slice(-KEPT)
      })
    child.stdin?.on('error', () => {}) // it need not read
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
          // What it left running may keep its stderr open.
          await Promise.race([once(child, 'close'), sleep(LAST_WORDS_MS)])
          const how = killed ? `was ended by ${killed}` : `ended with exit code ${code}`
          reject(new CommandFailure(how, said.trim(), NOT_RUN.includes(code ?? 0)))
        })
      })
    } finally {
      signal.removeEventListener('abort', end)
      if (group !== undefined) this.#groups.delete(group)
      this.#ended.fire()
    }
  }

  /** Ends what still runs: those that nobody waits for any more. */
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
