import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { databaseUrl } from './store.ts'
import { until } from './until.ts'

/** The command as it is installed: built by `npm run build`. */
const main = new URL('../../dist/cli/main.js', import.meta.url).pathname

export interface CliOptions {
  /** All of stdin; default: none. */
  readonly input?: string
  /** Beside DATABASE_URL of the server under test. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Where it runs; default: here. */
  readonly cwd?: string
}

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunningCli {
  readonly child: ChildProcess
  readonly stdout: string
  readonly stderr: string
  /** Waits until it has printed this, on stdout or stderr. */
  says(text: string | RegExp): Promise<void>
  readonly ended: Promise<CliResult>
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts `meowmx` with these words. */
export function startCli(args: readonly string[], { input, env = {}, cwd }: CliOptions = {}): RunningCli {
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd,
    env: { ...process.env, DATABASE_URL: databaseUrl(), NO_COLOR: undefined, ...env },
  })
  running.add(child)
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text) => {
      said[name] += text
    })
  child.stdin.on('error', () => {}) // it need not read
  if (input !== undefined) child.stdin.end(input)
  const ended = once(child, 'close').then(([code]) => {
    running.delete(child)
    return { code: code as number | null, ...said }
  })
  return {
    child,
    get stdout() {
      return said.stdout
    },
    get stderr() {
      return said.stderr
    },
    says: async (text) => {
      const has = () =>
        [said.stdout, said.stderr].some((all) =>
          typeof text === 'string' ? all.includes(text) : text.test(all),
        )
      await until(has, { timeoutMs: 30_000, what: `meowmx ${args.join(' ')} to say ${text}` }).catch(
        (error) => {
          throw new Error(`${error.message}; it said ${said.stdout}${said.stderr}`)
        },
      )
    },
    ended,
  }
}

/** Runs `meowmx` with these words to its end. */
export function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, { input: '', ...options }).ended
}

/** The lines of NDJSON. */
export const parsed = (text: string): any[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

/** Replaces what differs between runs, times and ids, by names. */
export function masked(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, '<time>')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>')
}
