// @long @direct
// The read sections of the conformance suite of Durable Streams pass against a feed, and the client of that protocol reads it.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { stream } from '@durable-streams/client'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventFeed } from '../src/http/index.ts'
import { conformanceServer } from './support/conformance-server.ts'
import { serve } from './support/http.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const root = resolve(import.meta.dirname, '..')
const meow = await openStore()
test.after(closeAll)

/** Sections about reading. */
const SECTIONS =
  'Read Operations|Long-Poll|HTTP Protocol|Browser Security|HEAD Metadata|Offset Validation and|Protocol Edge|Caching and ETag|Read-Your-Writes|SSE Mode|JSON Mode|Immutability|Offset Validation Properties|State Hash'
/** Of these, what is about bytes (a feed has JSON), or about the order of writers and the life of streams, which PUT and POST decide. */
const NOT_OURS =
  'base64|binary|[Bb]inary|TTL|Expires|[Ss]eq |duplicate seq|sequence ordering|Data-Encoding|Closure|Fork|Idempotent Producer'

test('the read sections of the conformance suite', async () => {
  const server = await conformanceServer(meow)
  const folder = resolve(root, '.tests')
  mkdirSync(folder, { recursive: true })
  const dir = mkdtempSync(join(folder, 'conformance-'))
  try {
    writeFileSync(
      join(dir, 'suite.test.js'),
      `import { runConformanceTests } from '@durable-streams/server-conformance-tests'\nrunConformanceTests({ baseUrl: '${server.url}' })\n`,
    )
    const report = join(dir, 'report.json')
    const name = `^(?!.*(?:${NOT_OURS})).*(?:${SECTIONS})`
    const words = [
      'run',
      '--root',
      dir,
      '--reporter=json',
      `--outputFile=${report}`,
      '-t',
      name,
      '--testTimeout=20000',
    ]
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    await promisify(execFile)(process.execPath, [vitest, ...words], { cwd: dir, maxBuffer: 1e8 }).catch(
      () => {},
    )
    const { readFileSync } = await import('node:fs')
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
    const results: { status: string; fullName: string; failureMessages: string[] }[] = testResults.flatMap(
      ({ assertionResults }: any) => assertionResults,
    )
    const failed = results.filter(({ status }) => status === 'failed')
    assert.equal(
      failed.map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages[0]?.slice(0, 300)}`),
      [],
    )
    const passed = results.filter(({ status }) => status === 'passed').length
    assert.ok(passed >= 90, `${passed} passed`)
  } finally {
    rmSync(dir, { recursive: true, force: true })
    await server.close()
  }
})

test('the client of Durable Streams reads a feed as it is: caught up, by long polls and by server-sent events', async () => {
  const category = uniqueName('durable')
  const server = await serve(eventFeed(meow, { authorize: () => true, longPollMs: 500 }))
  const url = `${server.url}/events/category/${category}`
  const said = (n: number) => meow.append({ category, streamId: '1' }, { type: 'Said', data: { n } })
  for (let n = 0; n < 3; n++) await said(n)
  const all = await (await stream<any>({ url, live: false })).json()
  assert.equal(
    all.map(({ data }) => data.n),
    [0, 1, 2],
  )
  for (const live of ['long-poll', 'sse'] as const) {
    const seen: number[] = []
    const response = await stream<any>({ url, live })
    response.subscribeJson(({ items }) => {
      for (const { data } of items) seen.push(data.n)
    })
    await until(() => seen.length >= 3, { what: `the past by ${live}` })
    const count = seen.length
    await said(count)
    await until(() => seen.length === count + 1, { what: `the present by ${live}` })
    assert.equal(
      seen,
      seen.map((_, n) => n),
    )
    response.cancel()
  }
  await server.close()
})

test.run()
