import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { program } from './typescript.ts'
import { until } from './until.ts'

export interface ExecutorOptions {
  schema: string
  name: string
  category: string
  leaseMs: number
  maxInFlight?: number
  /** Where the server is; default: that under test. */
  url?: string
  /** `handle`: each event, taking handlerMs. `wait`: each when told to go on. `hold`: deliveries, acked when told to. */
  how: 'handle' | 'wait' | 'hold'
  handlerMs?: number
  /** How far its clock is off. */
  clockOffsetMs?: number
}

export interface ExecutorProcess {
  /** What it said, in order. */
  readonly lines: any[]
  /** All values that it said under this name. */
  said(key: string): any[]
  /** Waits until it said so, at least `count` times. */
  says(key: string, value?: unknown, count?: number): Promise<void>
  tell(command: string): void
  kill(signal: NodeJS.Signals): void
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
}

const running = new Set<ExecutorProcess>()

/** Starts test/support/executor.ts, and waits until it owns its partition or waits for it. */
export async function startExecutor(options: ExecutorOptions): Promise<ExecutorProcess> {
  const file = new URL('executor.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [...program(file), JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.on('error', () => {})
  const lines: any[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)))
  const said = (key: string) => lines.filter((line) => key in line).map((line) => line[key])
  const executor: ExecutorProcess = {
    lines,
    said,
    says: async (key, value, count = 1) => {
      const matching = () => said(key).filter((it) => value === undefined || it === value)
      await until(() => matching().length >= count, { what: `an executor to say ${key} ${value ?? ''}` })
    },
    tell: (command) => void child.stdin.write(`${command}\n`),
    kill: (signal) => void child.kill(signal),
    ended: once(child, 'exit').then(([code, signal]) => code ?? signal),
  }
  running.add(executor)
  executor.ended.then(() => running.delete(executor))
  await until(() => ['waiting', 'catching-up', 'live'].includes(said('state').at(-1)), {
    what: 'an executor',
  })
  return executor
}

/** For `test.after`: ends those that still run. */
export async function killExecutors(): Promise<void> {
  const all = [...running]
  for (const { kill } of all) kill('SIGKILL')
  await Promise.all(all.map(({ ended }) => ended))
}
