// @serial @direct
// However the main process of a siege ends, it leaves no process: neither its server, nor its workers, nor one that it has
// frozen.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { typescript } from './support/typescript.ts'
import { until } from './support/until.ts'

const start = (...args: string[]) =>
  spawn(process.execPath, [...typescript, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
const path = (file: string) => new URL(file, import.meta.url).pathname

/** State and parent of each process of the machine. */
function processes(): Map<number, { state: string; parent: number; command: string }> {
  const found = new Map()
  for (const pid of readdirSync('/proc').map(Number)) {
    if (!pid) continue
    try {
      const [state, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      found.set(pid, { state, parent: Number(parent), command: readFileSync(`/proc/${pid}/cmdline`, 'utf8') })
    } catch {
      // gone meanwhile
    }
  }
  return found
}

function descendants(pid: number): number[] {
  const children = [...processes()].flatMap(([child, { parent }]) => (parent === pid ? [child] : []))
  return [...children, ...children.flatMap(descendants)]
}

const isThere = (pid: number) => !['Z', undefined].includes(processes().get(pid)?.state)

for (const signal of ['SIGINT', 'SIGKILL'] as const) {
  test(`a chief that gets ${signal}`, async () => {
    const chief = start(path('siege/main.ts'), 'chaos', '--processes', '3', '--seed', '1', '--minutes', '5')
    const ended = once(chief, 'exit')
    const count = () => {
      const all = processes()
      return descendants(chief.pid!).filter((pid) => all.get(pid)?.command.includes('siege/child.ts')).length
    }
    await until(() => count() >= 3 || chief.exitCode !== null, { timeoutMs: 120_000, what: 'its processes' })
    const left = descendants(chief.pid!)
    assert.ok(left.length > 4, 'three processes, and a server')
    chief.kill(signal)
    await ended
    await until(() => !left.some(isThere), { timeoutMs: 60_000, what: 'all to end' }).catch((error) => {
      const all = processes()
      throw new Error(`${error.message}: ${left.filter(isThere).map((pid) => all.get(pid)?.command)}`)
    })
  })
}

test('a frozen process continues when the process that froze it is killed', async () => {
  const victim = spawn('sleep', ['1000'], { stdio: 'ignore' })
  const script = `const { freeze } = await import('${path('support/freeze.ts')}'); freeze(${victim.pid}); setInterval(() => {}, 1000)`
  const chief = start('--input-type=module', '-e', script)
  try {
    const state = () => processes().get(victim.pid!)?.state
    await until(() => state() === 'T', { what: 'it to be frozen' })
    chief.kill('SIGKILL')
    await until(() => state() === 'S', { what: 'it to go on' })
  } finally {
    chief.kill('SIGKILL')
    victim.kill('SIGKILL')
  }
})

test('a command that cannot run is reported, and is a failure', async () => {
  const chief = start(path('siege/main.ts'), 'chaos', '--minutes', 'many')
  let told = ''
  chief.stderr.setEncoding('utf8').on('data', (text) => {
    told += text
  })
  const [code] = await once(chief, 'close')
  assert.is(code, 1)
  assert.match(told, '--minutes must be a number of at least 0.05, got many')
})

test.run()
