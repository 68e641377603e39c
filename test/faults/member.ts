import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { ConnectOptions, ProcessOptions, SubscriptionOptions } from '../../src/index.ts'
import { typescript } from '../support/typescript.ts'

/** What child.ts is started with. */
export interface ChildOptions {
  /** Path of the library's index.ts. */
  library: string
  url: string
  schema: string
  name: string
  subscription: SubscriptionOptions
  process: ProcessOptions
  connectOptions: ConnectOptions
  /** How long a handler takes: least and most. */
  handlerMs: [number, number]
  clockOffsetMs: number
  seed: number
}

export interface Begun {
  readonly position: number
  readonly id: string
  readonly attempt: number
  readonly tick: number
}

/** An executor's process, and all that it said. */
export interface Member {
  readonly pid: number
  readonly begun: Begun[]
  readonly done: { readonly id: string; readonly at: number }[]
  state: string
  readonly warnings: string[]
  /** How its workers ended; null: without an error. */
  readonly ends: (string | null)[]
  /** What it wrote to stderr: nothing, unless there was an unexpected error. */
  stderr: string
  /** A SIGKILL was sent. */
  killed: boolean
  tell(command: string): void
  signal(name: NodeJS.Signals): void
  /** Its exit code, or the signal that ended it. */
  exit: number | string | undefined
  readonly exited: Promise<number | string>
}

export function startMember(options: ChildOptions): Member {
  const file = new URL('child.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [...typescript, file, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.on('error', () => {})
  const exited = once(child, 'close').then(([code, signal]) => {
    member.exit = code ?? signal
    return member.exit!
  })
  const member: Member = {
    pid: child.pid!,
    begun: [],
    done: [],
    state: '',
    warnings: [],
    ends: [],
    stderr: '',
    killed: false,
    exit: undefined,
    exited,
    tell: (command) => void child.stdin.write(`${command}\n`),
    signal: (name) => {
      member.killed ||= name === 'SIGKILL'
      child.kill(name)
    },
  }
  child.stderr.setEncoding('utf8').on('data', (text) => {
    member.stderr += text
  })
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text)
    if (line.b) {
      const [position, id, attempt, tick] = line.b
      member.begun.push({ position, id, attempt, tick })
    } else if (line.d) member.done.push({ id: line.d[0], at: line.d[1] })
    else if (line.state) member.state = `${line.state} ${line.partitions}`
    else if (line.warn) member.warnings.push(line.warn)
    else if ('ended' in line) member.ends.push(line.ended)
  })
  return member
}
