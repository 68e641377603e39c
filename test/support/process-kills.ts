// Kills the processes that fire timers and run process managers, and perhaps their server, at random, until everything has come.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Meow } from '../../src/index.ts'
import type { Run } from './process-rules.ts'
import { begin, isDone, ringer, violations } from './process-rules.ts'
import { upTo } from './up-to.ts'

interface Kills {
  readonly processes: number
  /** A process lives so long at most. */
  readonly lifeMs: number
  /** How long all of it may take. */
  readonly limitMs: number
  /** Lets the server crash and starts it again; by default it stays. */
  readonly crash?: () => Promise<void>
  /** How long it lives on average. */
  readonly crashMs?: number
}

export async function runWithKills(
  meow: Meow,
  address: { connectionString: string; schema: string },
  run: Run,
  { processes, lifeMs, limitMs, crash, crashMs = 5_000 }: Kills,
): Promise<{ kills: number; crashes: number; found: string[] }> {
  let isOver = false
  let [kills, crashes] = [0, 0]
  const keepOne = async () => {
    while (!isOver) {
      const child = spawn(
        process.execPath,
        [
          '--import',
          fileURLToPath(new URL('./typescript.js', import.meta.url)),
          fileURLToPath(new URL('./process-child.ts', import.meta.url)),
          JSON.stringify({ ...address, run }),
        ],
        // Without a server they can't begin, which is said at length.
        { stdio: ['ignore', 'pipe', crash ? 'ignore' : 'inherit'] },
      )
      const ended = once(child, 'exit')
      await Promise.race([once(child.stdout, 'data'), ended])
      const until = performance.now() + Math.random() * lifeMs
      while (!isOver && performance.now() < until) await delay(5)
      if (!isOver) kills++
      child.kill('SIGKILL')
      await ended
    }
  }
  const all = upTo(processes).map(keepOne)
  try {
    await begin(meow, run)
    const deadline = performance.now() + limitMs
    let next = performance.now() + Math.random() * crashMs
    while (!(await isDone(meow, run)) && performance.now() < deadline) {
      await delay(100)
      if (!crash || performance.now() < next) continue
      await crash()
      crashes++
      next = performance.now() + Math.random() * 2 * crashMs
    }
  } finally {
    isOver = true
    await Promise.all(all)
  }
  await using _last = meow.runProcessManager({ ...ringer(run), leaseMs: 300 })
  return { kills, crashes, found: await violations(meow, run) }
}
