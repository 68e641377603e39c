// @long @direct
// The memory that a process uses for events is limited in bytes, however it reads them; a larger event still passes.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'

const MB = 1_000_000
/** A process needs nearly half of these for itself. */
const HEAP_MB = 64
/** A page is a quarter of it: less than one of the large events. */
const BUDGET = 4 * MB

const large = { category: uniqueName('large'), streamId: 's', eventBytes: 2.5 * MB, events: 20 }
const many = { category: uniqueName('many'), streamId: 's', eventBytes: MB, events: 60 }
/** Stored, these are a hundredth of what they are sent as. */
const compressible = { category: uniqueName('compressible'), streamId: 's', eventBytes: 2.5 * MB, events: 20 }

test.before(async () => {
  await openStore()
  const sql = await pgClient()
  for (const { category, streamId, events, eventBytes } of [large, many, compressible]) {
    const text = category === compressible.category ? 'x'.repeat(eventBytes) : noise(eventBytes)
    await sql.query(
      `insert into ${storeSchema}.events (version, category, stream_id, type, data)
       select n, $1, $2, 'Happened', json_build_object('text', $3::text) from generate_series(0, ${events - 1}) as n`,
      [category, streamId, text],
    )
  }
})
test.after(closeAll)

/** Text that is stored as it is. */
const noise = (length: number) => randomBytes(length / 2).toString('hex')

/** What a process with a small heap comes to that does these things, one after the other: how many events it saw. */
async function seen(
  ways: readonly string[],
  store: typeof large & { name?: string },
  { ready = async () => {}, heapMb = HEAP_MB } = {},
): Promise<Record<string, number>> {
  const file = new URL('support/large-child.ts', import.meta.url).pathname
  const tasks = ways.map((how) => ({ how, name: uniqueName('memory'), ...store }))
  const settings = JSON.stringify({ schema: storeSchema, maxBufferedBytes: BUDGET, tasks })
  const child = spawn(process.execPath, [`--max-old-space-size=${heapMb}`, ...program(file), settings])
  const said = { out: '', error: '' }
  child.stdout.on('data', (data) => {
    if (String(data).startsWith('ready') && said.out === '') void ready()
    said.out += data
  })
  child.stderr.on('data', (data) => {
    said.error += data
  })
  const [code] = await once(child, 'close')
  console.log(said.out.trim())
  assert.is(code, 0, `${said.out}\n${said.error.slice(0, 2_000)}`)
  const lines = said.out.split('\n').filter((line) => line.startsWith('{'))
  return Object.fromEntries(lines.map((line) => JSON.parse(line)).map(({ how, seen }) => [how, seen]))
}

const all = (ways: readonly string[], events: number) => Object.fromEntries(ways.map((how) => [how, events]))

test(`${large.events} events of 2.5 MB pass a heap of ${HEAP_MB} MB, however they are read`, async () => {
  const ways = ['iterate', 'events', 'read', 'read backward', 'state', 'process', 'transactional']
  assert.equal(await seen(ways, large), all(ways, large.events))
})

test('also if they are stored compressed, on the store’s own connections or lent ones', async () => {
  const ways = ['iterate', 'process', 'read', 'a lent pool']
  assert.equal(await seen(ways, compressible), all(ways, compressible.events))
})

test(`a slow handler, and a consumer that keeps its deliveries, have as many of ${many.events} events of 1 MB as fit`, async () => {
  const ways = ['a slow handler', 'deliveries that are kept']
  assert.equal(await seen(ways, many), all(ways, many.events))
})

test('five subscriptions with five selectors are pushed more than the heap holds', async () => {
  const meow = await openStore()
  const live = { ...many, category: uniqueName('live'), events: 20 }
  const ready = async () => {
    const event = { type: 'Happened', data: { text: noise(MB) } }
    for (let i = 0; i < live.events; i++) await meow.append(live, event)
  }
  const ways = ['five subscriptions']
  assert.equal(await seen(ways, live, { ready }), all(ways, 5 * live.events))
})

test('a stream that is parked is listed as far as it fits, and replayed', async () => {
  const meow = await openStore()
  const name = uniqueName('replay')
  const fail = () => {
    throw new Error('parked')
  }
  const worker = meow
    .subscription(name, { category: large.category })
    .process(fail, { retry: { maxAttempts: 1 } })
  const [last] = await meow.load(large, { direction: 'backward', limit: 1 })
  await meow.waitFor(name, last!.position, { timeoutMs: 60_000 })
  await worker.stop()
  const { parked, ...rest } = await seen(['parked', 'a replay'], { ...large, name })
  assert.ok(parked! > 0 && parked! * large.eventBytes <= 2 * BUDGET, `${parked} are listed`)
  assert.equal(rest, { 'a replay': large.events })
})

test.run()
