// Kills the processes that fire timers and run process managers, with SIGKILL and at random, until everything has come.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Meow } from '../../src/index.ts'
import type { Run } from './process-rules.ts'
import { begin, isDone, ringer, violations } from './process-rules.ts'
import { upTo } from './up-to.ts'

export async function runWithKills(
  meow: Meow,
  address: { connectionString: string; schema: string },
  run: Run,
  { processes, lifeMs, limitMs }: { processes: number; lifeMs: number; limitMs: number },
): Promise<{ kills: number; found: string[] }> {
  let isOver = false
  let kills = 0
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
        { stdio: ['ignore', 'pipe', 'inherit'] },
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
    while (!(await isDone(meow, run)) && performance.now() < deadline) await delay(100)
  } finally {
    isOver = true
    await Promise.all(all)
  }
  await using _last = meow.runProcessManager({ ...ringer(run), leaseMs: 300 })
  return { kills, found: await violations(meow, run) }
}
