// @long @direct
// 200,000 events wait for a slow handler: memory holds only the events in flight and two pages.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ProcessOptions } from '../src/index.ts'
import { PAGE_SIZE } from '../src/live/live.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'
import { until } from './support/until.ts'

const EVENTS = 200_000
const SAMPLE = 10_000
const category = uniqueName('memory')

test.before(async () => {
  await openStore()
  const sql = await pgClient()
  await sql.query(
    `insert into ${storeSchema}.events (id, version, category, stream_id, type, data, metadata)
     select gen_random_uuid(), (n - 1) / 100, $1, (n - 1) % 100, 'Happened', json_build_object('text', repeat('x', 500)), '{}'
     from generate_series(1, ${EVENTS}) as n`,
    [category],
  )
})
test.after(closeAll)

interface Measured {
  handled: number
  read: number
  alive: number
  heap: number
}

/** A process that has `subscriptions` of them all, whose handlers are stuck, then go on for a while, and are stuck again. */
async function measured(
  subscriptions: number,
  maxInFlight: number,
  options: { partitions?: number; process?: ProcessOptions },
): Promise<{ bytes: number; stuck: Measured[] }> {
  const names = Array.from({ length: subscriptions }, () => uniqueName('memory'))
  const file = new URL('support/memory-child.ts', import.meta.url).pathname
  const settings = {
    schema: storeSchema,
    category,
    names,
    subscription: { maxInFlight, partitions: options.partitions ?? 1, leaseMs: 60_000 },
    process: options.process ?? {},
    sample: SAMPLE,
  }
  const child = spawn(process.execPath, ['--expose-gc', ...program(file), JSON.stringify(settings)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'close')
  let bytes = 0
  const stuck: Measured[] = []
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text)
    if (line.sample) {
      bytes = line.sample / SAMPLE
      assert.is(line.alive, SAMPLE, 'the sample shows that counting works')
    } else stuck.push(line.stuck)
  })
  try {
    for (const [i, go] of [0, 2_500, 10_000].entries()) {
      if (go > 0) child.stdin.write(`go ${go}\n`)
      await until(() => stuck.length > i || child.exitCode !== null, {
        timeoutMs: 45_000,
        what: 'stuck handlers',
      })
      assert.is(stuck.length, i + 1)
    }
    child.stdin.write('close\n')
    assert.equal(await exited, [0, null])
  } finally {
    child.kill('SIGKILL')
  }
  return { bytes, stuck }
}

for (const [what, subscriptions, maxInFlight, options] of [
  ['one partition', 1, 256, {}],
  ['8 partitions, many streams at once', 1, 256, { partitions: 8, process: { concurrency: 32 } }],
  ['transactional', 1, 256, { partitions: 4, process: { transactional: true } }],
  ['three subscriptions', 3, 100, { partitions: 8 }],
] as const) {
  test(`memory holds the events in flight and two pages: ${what}`, async () => {
    const { bytes, stuck } = await measured(subscriptions, maxInFlight, options)
    const bound = subscriptions * (maxInFlight + 2 * PAGE_SIZE)
    for (const { handled, read, alive, heap } of stuck) {
      const kb = (n: number) => `${Math.round(n / 1024)} kB`
      console.log(
        `${what}: ${handled} handled, ${read} read, ${alive} alive of ${bound} at most, heap +${kb(heap)} (${SAMPLE} events: ${kb(SAMPLE * bytes)})`,
      )
    }
    for (const { alive, heap } of stuck) {
      assert.ok(alive <= bound, `${alive} events are held, ${bound} are allowed`)
      // What else grows (compiled code, buffers) is given as much room again.
      assert.ok(heap < 2 * bound * bytes + 4_000_000, `the heap has grown by ${heap} bytes`)
    }
  })
}

test.run()
