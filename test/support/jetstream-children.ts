import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Seen } from './jetstream.ts'
import { program } from './typescript.ts'

export interface ConsumerOptions {
  url: string
  stream: string
  category: string
  name: string
  partitions: number
  concurrency: number
  ackWaitMs: number
  delayMs: number
  quiet?: boolean
}

export interface ConsumerChild {
  handled: number
  kill(): Promise<unknown>
  stop(): Promise<unknown>
}

const running = new Set<ConsumerChild>()

/** Starts jetstream-child.ts; what it handles is added to `seen`. Resolves once it consumes. */
export async function startConsumer(options: ConsumerOptions, seen: Seen[]): Promise<ConsumerChild> {
  const file = new URL('jetstream-child.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [...program(file), JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.on('error', () => {})
  const exited = once(child, 'close')
  const one: ConsumerChild = {
    handled: 0,
    kill: () => {
      child.kill('SIGKILL')
      return exited
    },
    stop: () => {
      child.stdin.write('stop\n')
      return exited
    },
  }
  running.add(one)
  exited.then(() => running.delete(one))
  await new Promise<void>((resolve, reject) => {
    exited.then(() => reject(new Error('a consumer ended before it was ready')))
    createInterface({ input: child.stdout }).on('line', (line) => {
      let said: { ready?: true; handled?: number } & Seen
      try {
        said = JSON.parse(line)
      } catch {
        return // the last line of a process that was killed
      }
      if (said.ready) resolve()
      else if (said.handled !== undefined) one.handled = said.handled
      else seen.push(said)
    })
  })
  return one
}

/** For `test.after`: ends those that still run. */
export async function killConsumers(): Promise<void> {
  await Promise.all([...running].map((one) => one.kill()))
}
