// @direct
import type { ChildProcess } from 'node:child_process'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { withTimeout } from '../src/core/timeout.ts'
import { typescript } from './support/typescript.ts'

const examples = suite('examples: each runs, and prints what it says it prints')
const dir = resolve(import.meta.dirname, '../examples')
const files = readdirSync(dir).filter((name) => name.endsWith('.ts'))

interface Outcome {
  readonly stdout: string
  readonly error?: string
}

/** A database of its own, so that an example finds the schema `meowmx` as a newcomer does: not there. */
function databaseUrl(database: string): string {
  const url = new URL(process.env.DATABASE_URL!)
  url.pathname = database
  return url.href
}

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client(process.env.DATABASE_URL)
  await client.connect()
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

/** An example that has to do with its own process has one: it ends it, starts others, or is stopped by a signal. */
const isAlone = (file: string) =>
  /\bprocess\.(on|once|kill|exit)\b|child_process|meowmx\/embedded/.test(
    readFileSync(join(dir, file), 'utf8'),
  )

let child: ChildProcess | undefined

/** Runs an example in the process that all of them share. */
async function runShared(file: string, url: string): Promise<Outcome> {
  child ??= fork(resolve(import.meta.dirname, 'support/examples-child.ts'), {
    execArgv: typescript,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  child.send({ file: join(dir, file), url })
  const [answer] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => [{ stdout: '', error: `the process ended with code ${code}` }]),
  ])
  return answer
}

async function runAlone(file: string, url: string): Promise<Outcome> {
  const alone = spawn(process.execPath, [...typescript, join(dir, file)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DATABASE_URL: url },
  })
  const [stdout, stderr, [code]] = await Promise.all([
    text(alone.stdout),
    text(alone.stderr),
    once(alone, 'exit'),
  ])
  return { stdout, ...(code === 0 ? {} : { error: `exit code ${code}: ${stderr}` }) }
}

/** The comment that ends the file: `// Output:`, and below it each line of the output. */
function expectedOutput(file: string): string {
  const [, block] = readFileSync(join(dir, file), 'utf8').split('\n// Output:\n')
  assert.ok(block, `${file} must end with a comment "// Output:" and below it what it prints`)
  return block!.replaceAll(/^\/\/ ?/gm, '')
}

for (const file of files) {
  examples(file, async () => {
    const expected = expectedOutput(file)
    const database = `meowmx_test_${file.replaceAll(/\W/g, '_')}_${process.pid}`
    await query(`create database ${database}`)
    try {
      const { stdout, error } = await (isAlone(file) ? runAlone : runShared)(file, databaseUrl(database))
      assert.is(stdout, expected, error ?? 'it printed something else')
      assert.is(error, undefined)
    } finally {
      await query(`drop database ${database} with (force)`)
    }
  })
}

examples('there are some, and none leaves a database behind', async () => {
  assert.ok(files.includes('quick-start.ts'))
  assert.equal(await query(`select datname from pg_database where datname like 'meowmx\\_example\\_%'`), [])
})

examples('the process that has run them ends by itself: none leaves anything open', async () => {
  const ended = once(child!, 'exit')
  child!.disconnect()
  assert.equal(
    await withTimeout(
      10_000,
      () => ended,
      () => ['it is still open'],
    ),
    [0, null],
  )
})

examples.after(() => void child?.kill('SIGKILL'))

examples.run()
