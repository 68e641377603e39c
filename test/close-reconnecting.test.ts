// @push @long
// close() during a reconnect leaves no connection and no handle either (I8) and is not delayed, at any moment: during attempts
// that hang, are refused or succeed, and during the pauses between them.
import { test } from 'uvu'
import { closeOften } from './support/close.ts'
import { closeAll } from './support/store.ts'

test.after(closeAll)

for (const [faults, rounds] of [
  ['cut, noticed', 8],
  ['cut, mended', 8],
  ['blackhole, noticed;no answers, noticed', 3],
  ['blackhole, mended;no answers, mended', 3],
] as const) {
  test(`at random moments, ${rounds} times: fault ${faults}`, () => closeOften(faults, rounds))
}

test.run()
