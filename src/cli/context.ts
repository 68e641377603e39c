// What every command works with: options, output, the store, and the signal to stop.
import { constants } from 'node:os'
import type { Command } from 'commander'
import type { ConnectOptions } from '../database/connect-options.ts'
import type { Database } from '../database/database.ts'
import type { EmbeddedPostgres } from '../embedded/index.ts'
import type { Meow } from '../meow.ts'
import { UsageError } from './arguments.ts'
import { Output } from './output.ts'
import { messageOf, Stderr } from './stderr.ts'

/** How long a command waits for its work after SIGTERM: less than the 30 s that Kubernetes grants. */
export const STOP_TIMEOUT_MS = 25_000

/** The options that every command takes. */
export interface GlobalOptions {
  readonly url?: string
  readonly schema: string
  /** The directory; '' for a throw-away server. */
  readonly embedded?: string
  readonly listenUrl?: string
  readonly prepare: boolean
  readonly json?: boolean
  readonly verbose?: boolean
  readonly color: boolean
}

/** Turns the work of a command into a function that commander calls. */
export type Run = <A extends unknown[]>(
  work: (context: Context, ...args: A) => Promise<void>,
) => (...args: [...A, Command]) => Promise<void>

/** Created for each run of a command, and passed to it. */
export class Context {
  readonly options: GlobalOptions
  readonly out: Output
  readonly stderr: Stderr
  readonly #stop = new AbortController()
  readonly #closers: (() => Promise<unknown>)[] = [] // called from last to first
  #server: Promise<EmbeddedPostgres> | undefined
  #finishesWork = false
  #code = 0

  constructor(options: GlobalOptions) {
    this.options = options
    const colour = options.color && !process.env.NO_COLOR && process.stdout.isTTY === true
    this.out = new Output({ json: options.json === true, colour }, (error) => this.#outputFailed(error))
    this.stderr = new Stderr(options.verbose === true)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => this.#interrupt(128 + constants.signals[signal]))
  }

  /** Aborts when this process is told to stop. A command that reads it is given time to finish; others end at once. */
  get signal(): AbortSignal {
    this.#finishesWork = true
    return this.#stop.signal
  }

  exit(code: number): void {
    this.#code = code
  }

  /** Opens the store. `listen`: whether the command needs push; false by default. */
  async open({ listen = false }: { listen?: boolean } = {}): Promise<Meow> {
    const options = await this.#connectOptions()
    const { connect } = await import('../meow.ts')
    const meow = await connect({ ...options, listen, logger: this.stderr.logger })
    this.closing(() => meow.close())
    if (this.options.embedded !== undefined) await meow.migrate()
    return meow
  }

  /** Connects to the database, whatever the state of the store. */
  async database(): Promise<Database> {
    const options = await this.#connectOptions()
    const [{ Database }, { connectSettings }] = await Promise.all([
      import('../database/database.ts'),
      import('../database/connect-options.ts'),
    ])
    const db = new Database(connectSettings({ ...options, listen: false }))
    this.closing(() => db.close())
    return db
  }

  /** Registers a function that is called at the end, before those that were registered earlier. */
  closing(close: () => Promise<unknown>): void {
    this.#closers.push(close)
  }

  /** Runs a command, reports its error, and closes everything. */
  async run(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      await this.out.flush()
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        this.#code = isUsage(error) ? 2 : 1
        await this.stderr.error(error)
        if (isUnmigrated(error))
          this.stderr.note('run meowmx migrate, or give --schema if the store has another name')
      }
    }
    for (const close of this.#closers.reverse()) await close().catch((error) => this.stderr.error(error))
    process.exitCode = this.#code
    process.stdin.destroy() // an unread stdin would keep the process alive
  }

  async #connectOptions(): Promise<ConnectOptions> {
    const { url, schema, embedded, listenUrl, prepare } = this.options
    if (embedded !== undefined && url !== undefined)
      throw new UsageError('--url and --embedded were both given: give only one')
    // An unset variable of the shell must not lead to another server.
    for (const [option, value] of Object.entries({ '--url': url, '--listen-url': listenUrl }))
      if (value === '') throw new UsageError(`${option} is empty: give it a value, or leave it out`)
    const address =
      embedded === undefined ? (url ?? process.env.DATABASE_URL) : await this.#embedded(embedded)
    return {
      ...(address ? { connectionString: address } : {}),
      ...(listenUrl ? { listenConnectionString: listenUrl } : {}),
      schema,
      prepare,
    }
  }

  async #embedded(dir: string): Promise<string> {
    this.#server ??= import('../embedded/index.ts').then(({ startPostgres }) =>
      startPostgres(dir === '' ? { settings: { fsync: false } } : { dataDir: dir }),
    )
    const first = this.#closers.length === 0
    const server = await this.#server
    if (first) this.closing(() => server.stop())
    return server.connectionString
  }

  /** Handles a signal. The second one ends the process at once, and so does the first if the command does not finish its work. */
  #interrupt(code: number): void {
    if (!this.#finishesWork || this.#stop.signal.aborted) process.exit(code)
    this.#code = code
    this.#stop.abort()
  }

  /** Handles an error of stdout. EPIPE means that the reader has ended; every other error is a failure. */
  #outputFailed(error: Error): void {
    const code = (error as NodeJS.ErrnoException).code === 'EPIPE' ? 0 : 1
    if (code !== 0) this.stderr.note(`meowmx: stdout: ${messageOf(error)}`)
    if (!this.#finishesWork) process.exit(code)
    this.#code = code
    this.#stop.abort()
  }
}

/** Makes the function that runs commands. */
export function runner(): Run {
  return <A extends unknown[]>(work: (context: Context, ...args: A) => Promise<void>) =>
    async (...args: [...A, Command]) => {
      const context = new Context((args.at(-1) as Command).optsWithGlobals())
      await context.run(() => work(context, ...(args.slice(0, -1) as A)))
    }
}

/** Whether the store is not migrated. The message names `meow.migrate()`; the CLI adds its own command. */
const isUnmigrated = (error: unknown): boolean =>
  (error as { code?: string } | null)?.code === 'ERR_SCHEMA' && /is not migrated/.test(messageOf(error))

/** Whether the arguments are wrong. */
function isUsage(error: unknown): boolean {
  return error instanceof UsageError || (error as { code?: string } | null)?.code === 'ERR_VALIDATION'
}
