import type { FakeMethod } from '@sinonjs/fake-timers'

/** All that Jest fakes. */
export const SINON: FakeMethod[] = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'nextTick',
  'queueMicrotask',
  'Date',
  'hrtime',
  'performance',
]
