// @direct
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { typescript } from './support/typescript.ts'

const examples = suite('examples: each runs, and prints what it says it prints')
const dir = resolve(import.meta.dirname, '../examples')
const files = readdirSync(dir).filter((name) => name.endsWith('.ts'))

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client(process.env.DATABASE_URL)
  await client.connect()
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

/** Runs an example in a database of its own, so that it finds the schema `meowmx` as a newcomer does: not there. */
async function run(
  file: string,
  database: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const url = new URL(process.env.DATABASE_URL!)
  url.pathname = database
  const child = spawn(process.execPath, [...typescript, join(dir, file)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DATABASE_URL: url.href },
  })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  return { code, stdout, stderr }
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
      const { code, stdout, stderr } = await run(file, database)
      assert.is(stdout, expected, stderr || 'it printed something else')
      assert.is(code, 0, stderr)
    } finally {
      await query(`drop database ${database} with (force)`)
    }
  })
}

examples('there are some, and none leaves a database behind', async () => {
  assert.ok(files.includes('quick-start.ts'))
  assert.equal(await query(`select datname from pg_database where datname like 'meowmx\\_example\\_%'`), [])
})

examples.run()
