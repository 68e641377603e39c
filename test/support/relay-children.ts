import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { NatsOptions, RelayOptions } from '../../src/relay/index.ts'
import { program } from './typescript.ts'
import { until } from './until.ts'

export interface RelayChildOptions extends Omit<RelayOptions<string>, 'broker'> {
  schema: string
  name: string
  nats: NatsOptions
}

export interface RelayChild {
  readonly pid: number
  state: string
  partitions: number[]
  published: number
  duplicates: number
  kill(signal: NodeJS.Signals): void
  /** Its exit code. */
  stop(): Promise<number | string>
}

const running = new Set<RelayChild>()

/** Starts relay-child.ts; resolves once it takes part. */
export async function startChild(options: RelayChildOptions): Promise<RelayChild> {
  const file = new URL('relay-child.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [...program(file), JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.on('error', () => {})
  const exited = once(child, 'close').then(([code, signal]) => code ?? signal)
  const relay: RelayChild = {
    pid: child.pid!,
    state: '',
    partitions: [],
    published: 0,
    duplicates: 0,
    kill: (signal) => void child.kill(signal),
    stop: () => {
      child.stdin.write('stop\n')
      return exited
    },
  }
  createInterface({ input: child.stdout }).on('line', (line) => Object.assign(relay, JSON.parse(line)))
  running.add(relay)
  exited.then(() => running.delete(relay))
  await until(() => relay.state !== '' && relay.state !== 'stopped', { timeoutMs: 60_000, what: 'a relay' })
  return relay
}

/** For `test.after`: ends those that still run. */
export function killChildren(): void {
  for (const { kill } of running) kill('SIGKILL')
}
