import type { test as uvuTest } from 'uvu'
import type { ConnectOptions } from '../../src/index.ts'

/** Whether stores listen, unless a test says otherwise. */
export const pushes = process.env.MEOWMX_TEST_LISTEN !== 'off'

/**
 * How a store is opened where a test does not say otherwise, so that the suite can go another way to the server:
 *
 * - `MEOWMX_TEST_LISTEN=off` (npm run test:polling): nobody listens. A poll that was to come once a minute, so that only
 *   push can be what brings an event, comes every 100 ms.
 * - `MEOWMX_TEST_PREPARE=off` (npm run test:pgbouncer): no named statements.
 *
 * Nothing is logged, unless a test gives a logger: what fails on purpose is no news.
 */
export function theWay(options: ConnectOptions = {}): ConnectOptions {
  const {
    listen = pushes,
    prepare = process.env.MEOWMX_TEST_PREPARE !== 'off',
    pollIntervalMs = 1_000,
    logger = false,
  } = options
  const polls = !listen && options.listen === undefined
  return {
    ...options,
    listen,
    prepare,
    logger,
    pollIntervalMs: polls ? Math.min(pollIntervalMs, 100) : pollIntervalMs,
  }
}

/** Whether DATABASE_URL is a pooler's, which lends a session for one transaction. */
export const pooled = process.env.MEOWMX_DIRECT_URL !== undefined

/** `test`, where it can run: else it is skipped, with a word to the runner. */
export function unless(
  obstacle: false | string,
  test: typeof uvuTest,
): (...test: Parameters<typeof uvuTest>) => void {
  if (!obstacle) return test
  return (name, body) => {
    console.log(`skipped: ${name}: ${obstacle}`)
    test.skip(name, body)
  }
}

/** For what is promised of push itself. */
export const withoutPush = !pushes && 'nobody listens here'

/** For what needs a session, or a server's own words, where the tests' stores have none. */
export const throughPooler = pooled && 'all goes through a pooler here'

/** What keeps a file from going this way, by the tags in its first line. */
export function obstacleOf(source: string): string | false {
  const [tags = ''] = source.split('\n', 1)
  return (/^\/\/ .*@push\b/.test(tags) && withoutPush) || (/^\/\/ .*@direct\b/.test(tags) && throughPooler)
}
