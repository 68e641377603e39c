// @direct
// meowmx relay: publishes, says how much, and what is wrong.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import type { Nats } from './support/nats.ts'
import { findNats, startNats } from './support/nats.ts'
import { rejects } from './support/rejects.ts'
import { append, assertAll, setUp } from './support/relays.ts'
import { closeAll, databaseUrl, openStore, storeSchema } from './support/store.ts'
import { typescript } from './support/typescript.ts'
import { unless } from './support/ways.ts'

const program = findNats()
const relayed = unless(!program && 'there is no nats-server here (Debian: apt-get install nats-server)', test)
let nats: Nats
let meow: Meow
const opened: { close(): Promise<unknown> }[] = []
test.before(async () => {
  if (!program) return
  nats = await startNats(program)
  meow = await openStore()
})
test.after(async () => {
  await closeAll()
  for (const one of opened) await one.close()
  await nats?.stop()
})

relayed('the command', async () => {
  const { category, stream } = await setUp(nats)
  const events = await append(meow, category, 20)
  const main = new URL('../src/cli/main.ts', import.meta.url).pathname
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [...typescript, main, 'relay', category, ...args], {
      env: { ...process.env, DATABASE_URL: databaseUrl() },
    })
  const how = [
    '--schema',
    storeSchema,
    '--category',
    category,
    '--nats',
    nats.url,
    '--prefix',
    'meowmx',
    '--once',
  ]
  const { stderr } = await run(...how, '--jetstream', stream)
  assert.match(stderr, 'published 20, 0 of them were duplicates')
  await assertAll(nats, stream, events)
  const { code, stderr: said } = (await rejects(
    run(...how, '--jetstream', 'absent') as Promise<unknown>,
    Error,
  )) as any
  assert.is(code, 1)
  assert.match(said, 'there is no JetStream stream "absent": run nats stream add absent')
})

test.run()
