// @alone
// Deadlines share a timer: each fires on time, a deadline that was met never fires, and deadlines keep no process alive.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../src/core/deadlines.ts'
import { timers } from './support/timers.ts'
import { until } from './support/until.ts'

test('each deadline that is not met fires once and not too early, in whatever order they are set', async () => {
  const deadlines = new Deadlines()
  const late: number[] = []
  const add = (ms: number) => {
    const due = performance.now() + ms
    const deadline = {
      due,
      onMissed: () => {
        assert.ok(performance.now() >= due - 1)
        late.push(ms)
      },
    }
    deadlines.add(deadline)
    return deadline
  }
  add(200)
  const met = add(20)
  add(100)
  deadlines.delete(met)
  add(50)
  deadlines.delete(add(300))
  await until(() => late.length >= 3, { what: 'three that are late' })
  assert.equal(late, [50, 100, 200])
  add(10) // nothing was left to wait for
  await until(() => late.length === 4, { what: 'one more' })
  assert.equal(timers(), 0)
})

test('a deadline may fire late, together with others', async () => {
  const deadlines = new Deadlines()
  let called = 0
  const again = () => {
    if (++called < 3) deadlines.add({ due: performance.now(), onMissed: again })
  }
  deadlines.add({ due: performance.now() + 5, onMissed: again })
  await until(() => called === 3, { what: 'all three' })
})

test('a process ends with one open', async () => {
  const module = new URL('../dist/core/deadlines.js', import.meta.url).href
  const code = `const { Deadlines } = await import('${module}'); new Deadlines().add({ due: performance.now() + 60_000, onMissed() {} })`
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { timeout: 20_000 })
})

test.run()
