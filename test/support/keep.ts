import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** A temporary folder, unless the environment variable names one, which is kept and used again. */
export async function inFolder(variable: string, use: (folder: string) => Promise<void>): Promise<void> {
  const kept = process.env[variable]
  const folder = kept ? resolve(kept) : mkdtempSync(join(tmpdir(), 'meowmx-'))
  try {
    mkdirSync(folder, { recursive: true })
    await use(folder)
  } finally {
    if (!kept) rmSync(folder, { recursive: true, force: true })
  }
}

/** What npm prints. */
export function npm(cwd: string, ...words: string[]): string {
  return execFileSync('npm', words, { cwd, encoding: 'utf8', maxBuffer: 1e8 })
}

/** Runs a program that prints for itself; signals are passed on. Its last line, which counts, and whether it went well. */
export async function follow(
  program: string,
  words: readonly string[],
  { cwd, env = process.env }: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<{ last: string; ok: boolean; interrupted: boolean }> {
  const child = spawn(program, words, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
  let interrupted = false
  const pass = (signal: NodeJS.Signals) => {
    interrupted = true
    child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.once(signal, pass)
  let end = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text)
    end = `${end}${text}`.slice(-1_000)
  })
  const [code] = await once(child, 'close')
  for (const signal of signals) process.off(signal, pass)
  return { last: end.trimEnd().split('\n').at(-1) || 'nothing was run', ok: code === 0, interrupted }
}
