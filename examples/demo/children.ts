import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** In a child: what the parent told it, and a way to report. It ends with its parent, however that ends. */
export function childOf(close: () => Promise<void>) {
  process.on('SIGINT', () => {}) // Ctrl-C reaches us too, but the parent decides
  process.on('disconnect', () => {
    setTimeout(() => process.exit(), 1_000) // the server may be gone as well
    Promise.resolve() // it may not be connected yet, and throw
      .then(close)
      .catch(() => {})
      .finally(() => process.exit())
  })
  if (!process.connected) process.exit()
  return {
    connectionString: process.env.DATABASE_URL!,
    schema: process.env.DEMO_SCHEMA!,
    send: (message: object) => void (process.connected && process.send!(message)),
  }
}

/** In the parent: the processes that it started, and what became of them. */
export class Children {
  readonly #env: NodeJS.ProcessEnv
  readonly #running = new Set<ChildProcess>()
  /** Of the first that ended without being told to. */
  problem: Error | undefined

  constructor(connectionString: string, schema: string) {
    this.#env = { ...process.env, DATABASE_URL: connectionString, DEMO_SCHEMA: schema }
  }

  start<M>(file: string, hear: (message: M) => void, ...parameters: string[]): ChildProcess {
    const child = fork(new URL(file, import.meta.url), parameters, {
      env: this.#env,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let complaint = ''
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      complaint += text
    })
    child.on('message', hear)
    child.on('error', (error) => {
      this.problem ??= error
    })
    child.on('close', (code, signal) => {
      const expected = !this.#running.delete(child) || code === 0
      if (!expected) this.problem ??= new Error(`${file} ended by ${signal ?? `code ${code}`}\n${complaint}`)
    })
    this.#running.add(child)
    return child
  }

  kill(child: ChildProcess): void {
    this.#running.delete(child)
    child.kill('SIGKILL')
  }

  /** Ends all that is left, the hard way where one does not listen. */
  async stop(): Promise<void> {
    const left = [...this.#running]
    this.#running.clear()
    await Promise.all(
      left.map(async (child) => {
        const timer = setTimeout(() => child.kill('SIGKILL'), 2_000)
        if (child.connected) child.disconnect()
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
        clearTimeout(timer)
      }),
    )
  }
}
