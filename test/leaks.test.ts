// @long @direct @push
// Observers and waiters that give up are forgotten: on a store without new events, the heap does not grow with their number.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'
import { typescript } from './support/typescript.ts'

test.after(closeAll)

/** How often each way comes and goes. Before these were fixed, each leak kept at least 1.8 kB, those of executors 23 kB. */
const cycles: Record<string, number> = {
  'events()': 250,
  'events() from the end': 250,
  'events() with a signal': 250,
  'events() of a channel of their own': 60,
  'iterate()': 250,
  'iterators that nobody pulls': 600,
  'watch()': 100,
  'waitFor() with a signal': 100,
  'waitFor() with a time-out': 100,
  'both status$': 300,
  'probes of a LISTEN connection': 600,
  'deliveries()': 40,
  'deliveries() that follow one another': 40,
  'handle()': 40,
  'process()': 40,
  'process() with transactions': 40,
  'a store in memory': 50,
}
/** What else may grow, whatever the number: compiled code, buffers. */
const NOISE = 800_000

test('the heap stays the same, whatever is opened and ended', async () => {
  await openStore()
  const root = new URL('../', import.meta.url).pathname
  const child = spawn(
    process.execPath,
    [
      '--expose-gc',
      ...typescript,
      new URL('support/leak-child.ts', import.meta.url).pathname,
      JSON.stringify({ root, schema: storeSchema, name: uniqueName('leak'), cycles }),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  assert.is(code, 0)
  const measured = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.is(measured.length, Object.keys(cycles).length)
  for (const { way, once, thrice } of measured)
    console.log(`${way}: ${cycles[way]} times +${once} bytes, three times as often +${thrice}`)
  for (const { way, once, thrice, listeners } of measured) {
    const grown = thrice - once
    assert.ok(grown < NOISE, `${way}: ${2 * cycles[way]!} more keep ${grown} bytes`)
    assert.is(listeners, 0, `${way}: listeners on the caller's signal`)
  }
})

test.run()
