// How long ago something was, by the one of a process's two clocks that says more: after a suspend, a lease must not seem
// fresh.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../src/core/clock.ts'
import { elapsed, now } from '../src/subscriptions/instant.ts'

for (const [what, monotonic, wall, passed] of [
  ['both clocks run', 5_000, 5_000, 5_000],
  ['the monotonic clock stood still, as it does while a laptop sleeps', 0, 5_000, 5_000],
  ['the wall clock was set back', 5_000, -3_600_000, 5_000],
  ['a wall clock that was set forward makes it seem longer, which is safe', 0, 3_600_000, 3_600_000],
] as const) {
  test(`${what}: ${passed} ms have passed`, () => {
    const at = { monotonic: 70_000, wall: 1_700_000_000_000 }
    const clock = { ...systemClock, now: () => at.monotonic, wall: () => at.wall }
    const then = now(clock)
    at.monotonic += monotonic
    at.wall += wall
    assert.is(elapsed(clock, then), passed)
  })
}

test('the clock of this process runs on, and by the wall it is now', async () => {
  const then = now(systemClock)
  assert.ok(Math.abs(then.wall - Date.now()) < 1_000)
  await systemClock.sleep(20)
  assert.ok(elapsed(systemClock, then) >= 19)
})

test.run()
