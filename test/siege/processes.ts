import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { ConnectOptions, SubscriptionOptions } from '../../src/index.ts'
import type { Place, Victim } from '../faults/world.ts'
import { typescript } from '../support/typescript.ts'
import type { Subscribed } from './checks/evidence.ts'

/** What a process is started with, as JSON. */
export interface ChildOptions extends Place {
  role: 'writer' | 'executor' | 'observer' | 'visitor'
  /** Where it writes down its facts. */
  directory: string
  schema: string
  categories: readonly string[]
  subscriptions: readonly Subscribed[]
  subscription: Pick<SubscriptionOptions, 'leaseMs' | 'maxInFlight'>
  connectOptions: ConnectOptions
  /** How long a handler takes, and a writer waits between two writes: least and most. */
  handlerMs: readonly [number, number]
  pauseMs: readonly [number, number]
  /** How often it writes a sample of itself into its log, in ms; 0: never. */
  sampleMs: number
}

/** A process of a run. */
export interface Process extends Victim {
  readonly role: ChildOptions['role']
  /** What it last said: `ready`, `end` once an observer has seen all, `stopped` once a writer has ended. */
  readonly said: Set<string>
  /** What it wrote to stderr: nothing, unless there was an unexpected error. */
  readonly stderr: string
  /** It was sent a SIGKILL. */
  readonly killed: boolean
}

/** Starts it. It ends by itself when this process ends, in whatever way. */
export function startProcess(options: ChildOptions): Process {
  const file = new URL('child.ts', import.meta.url).pathname
  const args = ['--expose-gc', ...typescript, file, JSON.stringify(options)]
  // In a session of its own: a Ctrl-C goes to the main process, which ends the others.
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  child.stdin.on('error', () => {})
  const state = { exit: undefined as number | string | undefined, stderr: '', killed: false }
  const said = new Set<string>()
  createInterface({ input: child.stdout }).on('line', (line) => said.add(line))
  child.stderr.setEncoding('utf8').on('data', (text) => {
    state.stderr += text
  })
  const exited = once(child, 'close').then(([code, signal]): number | string => {
    state.exit = code ?? signal
    return code ?? signal
  })
  return {
    pid: child.pid!,
    role: options.role,
    said,
    exited,
    get exit() {
      return state.exit
    },
    get stderr() {
      return state.stderr
    },
    get killed() {
      return state.killed
    },
    tell: (command) => void child.stdin.write(`${command}\n`),
    signal: (name) => {
      state.killed ||= name === 'SIGKILL'
      child.kill(name)
    },
  }
}
