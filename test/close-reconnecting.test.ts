// @push @long
// close() while it is being connected again after a fault, at any moment of that, leaves no connection and no handle either
// (I8), and is not held up: attempts that hang, attempts that are refused, pauses between them, attempts that succeed.
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
