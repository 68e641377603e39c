// How long ago something was, by whichever of a process's two clocks says more: a lease must not seem fresh to who slept.
import { performance } from 'node:perf_hooks'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { elapsed, now } from '../src/subscribe/instant.ts'

const clocks = { monotonic: performance.now.bind(performance), wall: Date.now }
const shift = (monotonic: number, wall: number) => {
  performance.now = () => clocks.monotonic() + monotonic
  Date.now = () => clocks.wall() + wall
}
test.after.each(() => shift(0, 0))

for (const [what, monotonic, wall] of [
  ['both clocks run', 5_000, 5_000],
  ['the monotonic clock stood still, as it does while a laptop sleeps', 0, 5_000],
  ['the wall clock was set back', 5_000, -3_600_000],
] as const) {
  test(`${what}: 5 s are 5 s`, () => {
    const then = now()
    shift(monotonic, wall)
    const passed = elapsed(then)
    assert.ok(passed >= 4_990 && passed < 6_000, `${passed} ms`)
  })
}

test('a wall clock that was set forward makes it seem longer, which is safe', () => {
  const then = now()
  shift(0, 3_600_000)
  assert.ok(elapsed(then) >= 3_600_000 - 10)
})

test.run()
