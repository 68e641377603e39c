// A handler that was written for PostgreSQL runs on JetStream: the example prints what it says it prints. @direct
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { findNats, startNats } from './support/nats.ts'
import { closeAll, databaseUrl, pgClient, uniqueName } from './support/store.ts'
import { typescript } from './support/typescript.ts'
import { unless } from './support/ways.ts'

const program = findNats()
const fed = unless(!program && 'there is no nats-server here (Debian: apt-get install nats-server)', test)
test.after(closeAll)

fed('examples/jetstream/main.ts', async () => {
  const file = resolve(import.meta.dirname, '../examples/jetstream/main.ts')
  const client = await pgClient()
  const database = uniqueName('example')
  await client.query(`create database ${database}`)
  const nats = await startNats(program!)
  try {
    const url = new URL(databaseUrl())
    url.pathname = database
    const env = { ...process.env, DATABASE_URL: url.href, NATS_URL: nats.url }
    const child = spawn(process.execPath, [...typescript, file], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [printed, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
    const said = readFileSync(file, 'utf8')
      .split('// Output:\n')[1]!
      .replace(/^\/\/ ?/gm, '')
    assert.is(printed, said)
    assert.is(code, 0)
  } finally {
    await nats.stop()
    await client.query(`drop database ${database} with (force)`)
  }
})

test.run()
