// Timers and clocks come only from src/core/clock.ts, which looks them up when it loads: later they may be fakes.
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const src = resolve(import.meta.dirname, '../src')

const LATE_BOUND = [
  /\b(?:set|clear)(?:Timeout|Interval|Immediate)\b/,
  /\b(?:nextTick|queueMicrotask|hrtime)\b/,
  /\b(?:Date|performance)\s*\.\s*now\b/,
  /\bDate\(\)/,
  /\b(?:from|import|require)\b\s*\(?\s*['"](?:node:)?timers(?:\/promises)?['"]/,
  // RxJS asks its schedulers, which take setInterval when it is needed.
  /import (?:type )?\{[^}]*\b(?:timer|interval|delay|delayWhen|debounce|debounceTime|throttleTime|auditTime|sampleTime|bufferTime|windowTime|timeout|timeoutWith|timestamp|timeInterval|\w+Scheduler)\b[^}]*\} from 'rxjs/,
]

/** What is code in it: a comment may speak of timers. */
const codeOf = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '')

test('no module but clock.ts looks up a timer or a clock when it needs one', () => {
  const found: string[] = []
  for (const path of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts') || path === 'core/clock.ts') continue
    const code = codeOf(readFileSync(join(src, path), 'utf8'))
    for (const pattern of LATE_BOUND) {
      if (pattern.test(code)) found.push(path.replaceAll('\\', '/'))
    }
  }
  // The time of a store in memory is that of the test which uses it, faked or not; handle has a timer of clock.ts as well.
  assert.equal(found.sort(), [
    'client/clock.ts',
    'client/clock.ts',
    'subscriptions/handle-run.ts',
    'testing/memory-store.ts',
  ])
})

test('each of the patterns finds what it is for', () => {
  const samples = [
    'setTimeout(f)',
    'process.nextTick(f)',
    'performance.now()',
    'Date()',
    "import { setTimeout as delay } from 'node:timers/promises'",
    "import { Observable, timer } from 'rxjs'",
  ]
  samples.forEach((sample, i) => {
    assert.ok(LATE_BOUND[i]!.test(codeOf(sample)), sample)
    assert.not.ok(LATE_BOUND[i]!.test(codeOf(`// ${sample}`)), sample)
  })
})

test.run()
