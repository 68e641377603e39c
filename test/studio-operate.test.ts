// @direct
// What an operator does in the studio: search, trace, skip, pause, resume and reset; by HTTP, and in a real browser.
import { existsSync } from 'node:fs'
import type { Browser } from 'playwright-core'
import { chromium } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { causedBy } from '../src/index.ts'
import type { Studio } from '../src/studio/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { ask, originOf } from './support/studio.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const EXECUTABLE = '/usr/bin/chromium'
const ARGS = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'
const inBrowser = unless(!existsSync(EXECUTABLE) && `there is no ${EXECUTABLE}`, test)

const meow = await openStore({ listen: false, pollIntervalMs: 200 })
const reading = await startStudio(meow)
const writing = await startStudio(meow, { write: true })
let browser: Browser | undefined
test.after(async () => {
  await browser?.close()
  await Promise.all([reading.close(), writing.close()])
  await closeAll()
})

function post(to: Studio, what: string, body: object) {
  const json = JSON.stringify(body)
  const headers = {
    origin: originOf(to),
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(json),
  }
  return ask(to, `/api/${what}`, { method: 'POST', body: json, headers })
}

/** A subscription with two parked streams: of one, an event waits behind the one that failed. */
async function parked(): Promise<string> {
  const name = uniqueName('operate')
  const a = await meow.append({ category: name, streamId: 'a' }, [
    { type: 'T', data: 1 },
    { type: 'T', data: 2 },
  ])
  const b = await meow.append({ category: name, streamId: 'b' }, { type: 'T', data: 3 })
  await createSubscription(name, { categories: [name] })
  const executor = await sqlExecutor(name)
  await executor.park(a.events[0]!, { attempts: 3, error: 'Error: no order 17' })
  await executor.park(b.events[0]!, { attempts: 3, error: 'Error: no order 18' })
  await executor.advance(b.position)
  await executor.leave()
  return name
}

const info = async (name: string) => (await meow.subscriptions({ names: [name] }))[0]!

test('read only, nothing is changed', async () => {
  const subscription = await parked()
  for (const [what, body] of [
    ['skip', { subscription, category: subscription, streamId: 'a', reason: 'x' }],
    ['pause', { subscription }],
    ['resume', { subscription }],
    ['reset', { subscription, confirm: subscription, to: 'start' }],
  ] as const) {
    const { status, json } = await post(reading, what, body)
    assert.is(status, 403, what)
    assert.match(json.error, '--write')
  }
  assert.equal([(await info(subscription)).parked, (await info(subscription)).status], [3, 'stopped'])
})

test('with write: pause, resume, skip with a reason, reset with the name', async () => {
  const subscription = await parked()
  const named = { subscription }
  assert.is((await post(writing, 'pause', named)).status, 200)
  assert.is((await info(subscription)).status, 'paused')
  assert.is((await post(writing, 'resume', named)).status, 200)
  assert.is((await info(subscription)).pausedAt, null)
  const stream = { ...named, category: subscription, streamId: 'a' }
  for (const wrong of [stream, { ...stream, reason: '' }, { ...stream, reason: 'x', limit: 1 }])
    assert.is((await post(writing, 'skip', wrong)).status, 400)
  assert.equal((await post(writing, 'skip', { ...stream, reason: 'ticket 7' })).json, { replayed: 1 })
  assert.equal(
    (await meow.discarded(subscription)).map(({ reason }) => reason),
    ['ticket 7'],
  )
  for (const wrong of [
    { ...named, to: 'start' },
    { ...named, confirm: 'other', to: 'start' },
    { ...named, confirm: subscription, to: 'middle' },
    { ...named, confirm: subscription, to: { since: 'yesterday' } },
  ])
    assert.is((await post(writing, 'reset', wrong)).status, 400, JSON.stringify(wrong))
  assert.is((await info(subscription)).parkedStreams, 2)
  const since = { since: '2000-01-01T00:00:00Z' }
  assert.is((await post(writing, 'reset', { ...named, confirm: subscription, to: since })).status, 200)
  assert.equal([(await info(subscription)).parkedStreams, (await info(subscription)).lag], [0, 3])
  assert.is((await post(writing, 'pause', { subscription: 'nobody' })).status, 404)
})

test('parked streams that failed alike are one group; the age of the lag is known', async () => {
  const name = await parked()
  const { json } = await ask(reading, `/api/parked-groups?name=${name}`)
  assert.equal(
    json.groups.map(({ error, streams }: any) => [error, streams]),
    [['Error: no order …', 2]],
  )
  assert.is(json.more, false)
  await meow.append({ category: name, streamId: 'c' }, { type: 'T', data: 4 })
  const detail = () => ask(reading, `/api/subscription?name=${name}`)
  await until(async () => (await detail()).json.lag > 0, { what: 'the lag' })
  const { lagAgeMs } = (await detail()).json
  assert.ok(lagAgeMs >= 0 && lagAgeMs < 60_000, String(lagAgeMs))
})

test('traces, moments, older events with a filter, and streams', async () => {
  const category = uniqueName('find')
  const { events } = await meow.append({ category, streamId: 'a' }, { type: 'Root', data: 1 })
  const root = events[0]!
  const { events: caused } = await meow.append(
    { category, streamId: 'b' },
    { type: 'Child', data: 2, metadata: causedBy(root) },
  )
  await meow.append({ category, streamId: 'c' }, { type: 'Other', data: 3 })
  for (const id of [root.id, caused[0]!.id]) {
    const { json } = await ask(reading, `/api/trace?id=${id}`)
    assert.equal(
      json.events.map(({ type, causationId }: any) => [type, causationId]),
      [
        ['Root', null],
        ['Child', root.id],
      ],
    )
  }
  const since = await ask(
    reading,
    `/api/since?time=${encodeURIComponent(caused[0]!.recordedAt.toISOString())}`,
  )
  assert.ok(since.json.events.some(({ type }: any) => type === 'Child'))
  assert.is((await ask(reading, '/api/since?time=yesterday')).status, 400)
  const older = (before: number, filter: string) =>
    ask(reading, `/api/older?before=${before}&filter=${encodeURIComponent(filter)}`)
  const found = (await older(Number.MAX_SAFE_INTEGER, `${category} -other`)).json
  assert.equal(
    found.events.map(({ type }: any) => type),
    ['Child', 'Root'],
  )
  assert.equal((await older(root.position, category)).json.events, [])
  assert.is((await ask(reading, '/api/older?before=x')).status, 400)
  const { json } = await ask(reading, `/api/streams?category=${category}&after=a`)
  assert.equal(
    json.streams.map(({ streamId }: any) => streamId),
    ['b', 'c'],
  )
})

inBrowser('the page: token, badge, groups, skip, pause, reset, a trace by its link', async () => {
  const name = await parked()
  const { events } = await meow.append({ category: name, streamId: 'root' }, { type: 'Root', data: 1 })
  await meow.append(
    { category: name, streamId: 'child' },
    { type: 'Child', data: 2, metadata: causedBy(events[0]!) },
  )
  browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGS.split(' ') })
  const page = await browser.newPage()
  page.setDefaultTimeout(20_000)
  const { origin, searchParams } = new URL(writing.url)
  await page.goto(`${origin}/#/subscriptions/${name}`)
  await page.locator('#token').fill(searchParams.get('token')!)
  await page.keyboard.press('Enter')
  await page.locator('#parked li').first().waitFor()
  const says = (selector: string, text: string | RegExp) =>
    page.locator(selector, { hasText: text }).first().waitFor()
  assert.is(await page.locator('#token').isVisible(), false)
  await says('#parked-groups', /2 streams\s+Error: no order …/)
  await says('#lag-age', 'at most')
  await page.locator('#parked-total').waitFor()

  await page.locator('#parked li', { hasText: '/a ·' }).getByRole('button', { name: 'Skip' }).click()
  await says('#ask', 'its effects are lost')
  await page.locator('#ask-no').click()
  assert.equal(await meow.discarded(name), [])
  await page.locator('#parked li', { hasText: '/a ·' }).getByRole('button', { name: 'Skip' }).click()
  await page.locator('#ask input').fill('by hand')
  await page.locator('#ask-yes').click()
  await until(async () => (await meow.discarded(name)).length === 1, { what: 'the skip' })

  await page.locator('#pause-subscription').click()
  await page.locator('#ask-yes').click()
  await says('#chosen-name', '(paused)')
  await page.locator('#resume-subscription').click()
  await page.locator('#ask-yes').click()
  await page.locator('#pause-subscription').waitFor()

  await page.locator('#reset-subscription').click()
  await page.locator('#ask input').first().fill('start')
  await page.locator('#ask input').last().fill('another')
  await page.locator('#ask-yes').click()
  await says('#ask-error', 'not the name')
  assert.is((await info(name)).parkedStreams > 0, true)
  await page.locator('#ask input').last().fill(name)
  await page.locator('#ask-yes').click()
  await says('#operation-note', 'continues after position 0')
  assert.is((await info(name)).parkedStreams, 0)

  const to = (hash: string) => page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
  await to(`#/stream/${name}/child`)
  await page.locator('#event-metadata a').first().click()
  await says('#found li[data-depth="1"]', 'Child')
  await says('#found li[data-depth="0"]', 'Root')
  await to(`#/categories/${name}`)
  await says('#streams-table tbody tr', 'child')
  await to(`#/tail/${name}`)
  await page.locator('#older').click()
  await says('#older-note', 'older events')
  await says('#events tr', 'Root')
})

test.run()
