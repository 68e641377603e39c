import { constants } from 'node:os'
import type { Command } from 'commander'
import type { ConnectOptions } from '../database/connect-options.ts'
import type { Database } from '../database/database.ts'
import type { EmbeddedPostgres } from '../embedded/index.ts'
import type { Meow } from '../meow.ts'
import { UsageError } from './arguments.ts'
import { Output } from './output.ts'
import { messageOf, Talk } from './talk.ts'

/** How long a command that is told to end waits for what it has in hand: less than the 30 s that Kubernetes leaves it. */
export const STOP_TIMEOUT_MS = 25_000

/** What every command takes. */
export interface GlobalOptions {
  readonly url?: string
  readonly schema: string
  /** '': a throw-away one. */
  readonly embedded?: string
  readonly listenUrl?: string
  readonly prepare: boolean
  readonly json?: boolean
  readonly verbose?: boolean
  readonly color: boolean
}

/** Turns what a command does into what commander calls. */
export type Run = <A extends unknown[]>(
  work: (context: Context, ...args: A) => Promise<void>,
) => (...args: [...A, Command]) => Promise<void>

/** What a command works with. */
export class Context {
  readonly options: GlobalOptions
  readonly out: Output
  readonly talk: Talk
  readonly #stop = new AbortController()
  readonly #closers: (() => Promise<unknown>)[] = [] // run from last to first
  #server: Promise<EmbeddedPostgres> | undefined
  #drains = false
  #code = 0

  constructor(options: GlobalOptions) {
    this.options = options
    const colour = options.color && !process.env.NO_COLOR && process.stdout.isTTY === true
    this.out = new Output({ json: options.json === true, colour }, (error) => this.#unread(error))
    this.talk = new Talk(options.verbose === true)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => this.#interrupt(128 + constants.signals[signal]))
  }

  /** Aborts when this process is told to end. Who reads it is waited for. */
  get signal(): AbortSignal {
    this.#drains = true
    return this.#stop.signal
  }

  exit(code: number): void {
    this.#code = code
  }

  /** The store. `listen`: push is needed; default false. */
  async open({ listen = false }: { listen?: boolean } = {}): Promise<Meow> {
    const options = await this.#connectOptions()
    const { connect } = await import('../meow.ts')
    const meow = await connect({ ...options, listen, logger: this.talk.logger })
    this.closing(() => meow.close())
    if (this.options.embedded !== undefined) await meow.migrate()
    return meow
  }

  /** The way to the server, whatever the state of the store. */
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

  /** Have something closed at the end, before all that was opened earlier. */
  closing(close: () => Promise<unknown>): void {
    this.#closers.push(close)
  }

  /** Run a command, and end with all closed. */
  async run(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      await this.out.flush()
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        this.#code = isUsage(error) ? 2 : 1
        await this.talk.error(error)
        if (isUnmigrated(error)) this.talk.note('here: meowmx migrate, or --schema where it has another name')
      }
    }
    for (const close of this.#closers.reverse()) await close().catch((error) => this.talk.error(error))
    process.exitCode = this.#code
    process.stdin.destroy() // what was not read to its end keeps the process
  }

  async #connectOptions(): Promise<ConnectOptions> {
    const { url, schema, embedded, listenUrl, prepare } = this.options
    if (embedded !== undefined && url !== undefined)
      throw new UsageError('--url and --embedded: give one of them')
    // A variable of the shell that is not set must not lead to another server.
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

  /** Ctrl-C, twice where it is not to be waited for. */
  #interrupt(code: number): void {
    if (!this.#drains || this.#stop.signal.aborted) process.exit(code)
    this.#code = code
    this.#stop.abort()
  }

  /** Whoever read has had enough; anything else is a failure. */
  #unread(error: Error): void {
    const code = (error as NodeJS.ErrnoException).code === 'EPIPE' ? 0 : 1
    if (code !== 0) this.talk.note(`meowmx: stdout: ${messageOf(error)}`)
    if (!this.#drains) process.exit(code)
    this.#code = code
    this.#stop.abort()
  }
}

export function runner(): Run {
  return <A extends unknown[]>(work: (context: Context, ...args: A) => Promise<void>) =>
    async (...args: [...A, Command]) => {
      const context = new Context((args.at(-1) as Command).optsWithGlobals())
      await context.run(() => work(context, ...(args.slice(0, -1) as A)))
    }
}

/** The message is for programs; here there is a command for it. */
const isUnmigrated = (error: unknown): boolean =>
  (error as { code?: string } | null)?.code === 'ERR_SCHEMA' && /is not migrated/.test(messageOf(error))

/** Whether the caller is to change what he gives. */
function isUsage(error: unknown): boolean {
  return error instanceof UsageError || (error as { code?: string } | null)?.code === 'ERR_VALIDATION'
}
