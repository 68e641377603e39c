// @direct
// The studio shows projections, timers and process managers live, and changes them behind a dialog; by HTTP, and in a real browser.
import { existsSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { NewEvent, ProjectionDefinition } from '../src/index.ts'
import { defineProcessManager } from '../src/index.ts'
import type { Studio } from '../src/studio/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { Paces } from '../src/studio/projections.ts'
import { gate } from './support/gate.ts'
import { dropSchemas, totals, viewSchema } from './support/projections.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'
import { ask, look, originOf, waitingFor } from './support/studio.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const EXECUTABLE = '/usr/bin/chromium'
const ARGS = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'
const inBrowser = unless(!existsSync(EXECUTABLE) && `there is no ${EXECUTABLE}`, test)

const meow = await openStore({ pollIntervalMs: 100 })
const reading = await startStudio(meow)
const writing = await startStudio(meow, { write: true })
const workers: { stop(options?: { timeoutMs?: number }): Promise<void> }[] = []
let browser: Browser | undefined
test.after(async () => {
  const schema = storeSchema
  await browser?.close()
  await Promise.all([reading.close(), writing.close()])
  await Promise.all(workers.map((worker) => worker.stop({ timeoutMs: 1_000 }).catch(() => {})))
  await meow.close()
  await dropSchemas(schema)
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

const ordered = (amount: number): NewEvent => ({ type: 'Ordered', data: { customer: 'a', amount } })

/** A projection whose version 1 is live. */
async function projected() {
  const [name, category, expose] = [uniqueName('p').slice(0, 10), uniqueName('order'), await viewSchema()]
  const { position } = await meow.append({ category, streamId: 'a' }, [ordered(1), ordered(2)])
  const define = (version: number, more: Partial<ProjectionDefinition> = {}) =>
    totals({ name, category, expose, version, ...more })
  const start = (version: number, more?: Partial<ProjectionDefinition>) => {
    const projection = meow.projection(define(version, more))
    workers.push(projection.start())
    return projection
  }
  await start(1).waitFor(position)
  const versions = async () => (await meow.projections()).filter((one) => one.name === name)
  const states = async () =>
    Object.fromEntries((await versions()).map(({ version, state }) => [version, state]))
  return { name, category, start, states, versions }
}

/** A timer far ahead, one that has failed, and where they append. */
async function timed() {
  const category = uniqueName('due')
  const key = (which: string) => `${category}-${which}`
  await meow.append({ category, streamId: 'taken' }, { type: 'T', data: 1 })
  await meow.schedule(
    key('later'),
    { inMs: 3_600_000 },
    { stream: { category, streamId: 'a' }, events: { type: 'Reminded', data: { n: 7 } } },
  )
  await meow.schedule(
    key('failed'),
    { inMs: 0 },
    {
      stream: { category, streamId: 'taken' },
      events: { type: 'Never', data: {} },
      expectedVersion: 'no-stream',
    },
  )
  return {
    category,
    key,
    types: async (streamId: string) => (await meow.load({ category, streamId })).map((e) => e.type),
  }
}

/** A process manager with one instance, one timer of which has failed until `mend` is called. */
async function managed() {
  const category = uniqueName('in')
  let isMended = false
  const manager = defineProcessManager({
    name: uniqueName('pm'),
    category,
    timers: ['remind', 'late'],
    correlate: (event) => event.streamId,
    initial: { reminded: 0 },
    outage: false,
    retry: { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 2 },
    react: (state, input, { schedule }) => {
      if (input.type !== '$timer')
        return { state, effects: [schedule('remind', { inMs: 0 }), schedule('late', { inMs: 3_600_000 })] }
      if (!isMended) throw new Error('no address')
      return { state: { reminded: state.reminded + 1 } }
    },
  })
  workers.push(meow.runProcessManager(manager))
  await meow.append({ category, streamId: 'order 1' }, { type: 'Placed', data: {} })
  const { name } = manager
  const instance = async () => (await meow.processInstances(name))[0]
  await until(async () => (await instance())?.timers[0]?.failure?.retryAt === null, { what: 'the failure' })
  return { name, instance, mend: () => (isMended = true) }
}

test('read only, nothing is changed', async () => {
  const { name, states } = await projected()
  const { key } = await timed()
  for (const [what, body] of [
    ['activate', { projection: name, version: 1 }],
    ['rebuild', { projection: name }],
    ['drop', { projection: name, version: 1, confirm: name }],
    ['run-timer', { key: key('later') }],
    ['cancel-timer', { key: key('later') }],
    ['retry-timers', { process: 'any' }],
  ] as const) {
    const { status, json } = await post(reading, what, body)
    assert.is(status, 403, what)
    assert.match(json.error, '--write')
  }
  assert.equal(await states(), { 1: 'live' })
  assert.is((await meow.scheduled({ prefix: key('later') })).length, 1)
})

test('projections: progress live, make live, back, rebuild, drop with the name', async () => {
  const { name, start, states, versions } = await projected()
  const page = await look(reading)
  const shown = (version: number) =>
    page.latest.projections?.versions.find((one: any) => one.name === name && one.version === version)
  await until(() => shown(1)?.state === 'live', waitingFor('version 1'))
  assert.equal([shown(1).done, shown(1).lag, shown(1).parkedStreams, shown(1).isRunning], [1, 0, 0, true])

  const held = gate()
  const second = start(2, {
    activate: 'manual',
    handle: () => held.opened,
  })
  await until(() => shown(2)?.state === 'building' && shown(2).lag === 2, waitingFor('version 2'))
  assert.ok(shown(2).done < 1)
  const early = await post(writing, 'activate', { projection: name, version: 3 })
  assert.is(early.status, 404)
  held.open()
  await until(() => shown(2)?.state === 'ready', waitingFor('version 2 to be complete'))
  assert.is((await post(writing, 'activate', { projection: name, version: 2 })).status, 200)
  await until(() => shown(2)?.state === 'live' && shown(1)?.state === 'retired', waitingFor('the switch'))
  assert.is((await post(writing, 'activate', { projection: name, version: 1 })).status, 200)
  assert.equal(await states(), { 1: 'live', 2: 'retired' })

  const live = await post(writing, 'drop', { projection: name, version: 1, confirm: name })
  assert.is(live.status, 409)
  assert.match(live.json.error, 'live')
  for (const wrong of [{ confirm: 'other' }, {}, { confirm: name, version: 0 }])
    assert.is((await post(writing, 'drop', { projection: name, version: 2, ...wrong })).status, 400)
  assert.is((await post(writing, 'drop', { projection: name, version: 2, confirm: name })).status, 200)
  assert.equal(await states(), { 1: 'live' })
  await until(() => shown(2) === undefined, waitingFor('its end'))

  const { status } = await post(writing, 'rebuild', { projection: name })
  assert.is(status, 200)
  const rebuilt = async () => {
    const all = await versions()
    return all.length === 1 && all[0]!.generation === 2 && all[0]!.state === 'live'
  }
  await until(rebuilt, { what: 'the rebuild' })
  assert.is((await post(writing, 'rebuild', { projection: 'nobody' })).status, 404)
  page.leave()
  void second
})

test('the pace of a version: events a second, and what is left', () => {
  const paces = new Paces()
  const info = { name: 'p', version: 1, generation: 1, horizon: 1_000, lagIsEstimate: false } as any
  const at = (ms: number, position: number) =>
    paces
      .add([{ ...info, position, lag: 1_000 - position }], ms)
      .map(({ rate, etaMs, done }) => [rate, etaMs, done])[0]
  assert.equal(at(0, 0), [0, null, 0])
  assert.equal(at(1_000, 100), [100, 9_000, 0.1])
  assert.equal(at(2_000, 500), [250, 2_000, 0.5])
  assert.equal(at(3_000, 1_000), [333, 0, 1])
})

test('timers: the failed one with its error, by prefix, run now, cancel', async () => {
  const { category, key, types } = await timed()
  workers.push(meow.runTimers())
  const page = await look(reading)
  const own = () => page.latest.timers?.timers.filter((timer: any) => timer.key.startsWith(category)) ?? []
  await until(
    () => own().find((timer: any) => timer.failure)?.failure.retryAt === null,
    waitingFor('the failure'),
  )
  page.leave()
  const { json } = await ask(reading, `/api/timers?prefix=${category}`)
  assert.is(json.more, false)
  const [failed, later] = json.timers
  assert.match(failed.failure.error, 'VersionConflictError')
  const { key: name, streamId, types: events, data, failure } = later
  assert.equal(
    { name, streamId, events, data, failure },
    { name: key('later'), streamId: 'a', events: ['Reminded'], data: '{"n": 7}', failure: null },
  )
  assert.is((await post(writing, 'run-timer', { key: key('failed') })).status, 409)
  assert.equal((await post(writing, 'run-timer', { key: key('later') })).json, { fired: true })
  assert.equal(await types('a'), ['Reminded'])
  assert.equal((await post(writing, 'run-timer', { key: key('later') })).json, { fired: false })
  assert.equal((await post(writing, 'cancel-timer', { key: key('failed') })).json, { cancelled: true })
  assert.equal((await post(writing, 'cancel-timer', { key: key('failed') })).json, { cancelled: false })
  assert.equal(await types('taken'), ['T'])
  for (const wrong of [{}, { key: '' }, { key: 'a', more: 1 }])
    assert.is((await post(writing, 'run-timer', wrong)).status, 400)
})

test('process managers: instances, state, timers; failed timers are tried again', async () => {
  const { name, instance, mend } = await managed()
  const page = await look(reading)
  const shown = () => page.latest.processes?.find((one: any) => one.name === name)
  await until(() => shown()?.failed === 1, waitingFor('the process manager'))
  assert.equal(shown(), { name, instances: 1, ended: 0, timers: 2, late: 0, failed: 1 })
  page.leave()
  const { json } = await ask(reading, `/api/instances?name=${name}`)
  assert.equal([json.more, json.instances.length], [false, 1])
  const [{ id, state, timers, ended }] = json.instances
  assert.equal([id, JSON.parse(state), ended], ['order 1', { reminded: 0 }, false])
  assert.equal(
    timers.map((timer: any) => [timer.name, timer.failure?.attempts, timer.failure?.retryAt]),
    [
      ['remind', 2, null],
      ['late', undefined, undefined],
    ],
  )
  assert.equal((await ask(reading, `/api/instances?name=${name}&id=none`)).json.instances, [])
  assert.is((await ask(reading, '/api/instances?name=nobody')).status, 404)
  mend()
  assert.equal((await post(writing, 'retry-timers', { process: name, id: 'order 1' })).json, { retried: 1 })
  await until(async () => (await instance())!.state.reminded === 1, { what: 'the second attempt' })
  assert.is((await post(writing, 'retry-timers', { process: 'nobody' })).status, 404)
})

inBrowser('the page, on a desktop and on a phone', async () => {
  const { name, category, start, states } = await projected()
  start(2, { activate: 'manual' })
  const { key, types } = await timed()
  const { name: process, instance, mend } = await managed()
  const complaints: string[] = []
  browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGS.split(' ') })
  const visit = async (studio: Studio, hash: string): Promise<Page> => {
    const page = await browser!.newPage()
    page.setDefaultTimeout(20_000)
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.goto(`${studio.url}${hash}`)
    return page
  }
  const page = await visit(writing, '#/projections')
  const row = (text: string, on = page) => on.locator('section:visible tbody tr', { hasText: text })
  const version = (number: number) => row(name).nth(number - 1)
  const sure = async (text: string) => {
    await page.locator('#ask', { hasText: text }).waitFor()
    await page.locator('#ask-yes').click()
  }
  await version(2).locator('.pill[data-state=ready]').waitFor()
  assert.is(await version(1).locator('progress').getAttribute('value'), '1')
  await version(2).getByRole('button', { name: 'Make live' }).click()
  await page.locator('#ask-no').click()
  assert.equal(await states(), { 1: 'live', 2: 'ready' })
  await version(2).getByRole('button', { name: 'Make live' }).click()
  await sure('instead of version 1')
  await version(2).locator('.pill[data-state=live]').waitFor()
  await version(1).getByRole('button', { name: 'Drop' }).click()
  await page.locator('#ask input').fill('another')
  await page.locator('#ask-yes').click()
  await page.locator('#ask-error', { hasText: 'not the name' }).waitFor()
  assert.equal(await states(), { 1: 'retired', 2: 'live' })
  await page.locator('#ask input').fill(name)
  await page.locator('#ask-yes').click()
  await page.locator('#projection-note', { hasText: 'is dropped' }).waitFor()
  assert.equal(await states(), { 2: 'live' })
  await row(name).getByRole('button', { name: 'Rebuild' }).click()
  await sure('Readers notice nothing')
  await row(`${name}2 (rebuild 1)`).locator('.pill[data-state=live]').waitFor()

  await page.evaluate(`location.hash = '#/timers'`)
  await page.locator('#timer-prefix').fill(key(''))
  await row(key('failed')).locator('.reason', { hasText: 'VersionConflictError' }).waitFor()
  await page.locator('#late-total').waitFor()
  await row(key('later')).getByRole('button', { name: 'Run now' }).click()
  await page.locator('#ask-no').click()
  assert.equal(await types('a'), [])
  await row(key('later')).getByRole('button', { name: 'Run now' }).click()
  await sure('It is due only in 60 min')
  await until(async () => (await types('a')).length === 1, { what: 'the event' })
  await row(key('failed')).getByRole('button', { name: 'Cancel' }).click()
  await sure('It will never append')
  await page.locator('#timer-count', { hasText: 'no such timers' }).waitFor()

  await page.evaluate(`location.hash = '#/processes/${process}'`)
  const item = page.locator('#instances li', { hasText: 'order 1' })
  await item.locator('.timer', { hasText: 'failed after 2 attempts' }).waitFor()
  await item.locator('summary').click()
  await item.locator('pre', { hasText: '"reminded": 0' }).waitFor()
  mend()
  await item.getByRole('button', { name: 'Try again' }).click()
  await sure('Nothing is lost')
  await until(async () => (await instance())!.state.reminded === 1, { what: 'the second attempt' })
  await until(async () => (await item.locator('.timer').count()) === 1, waitingFor('the other timer alone'))
  await item.locator('.timer', { hasText: 'in 60 min' }).waitFor()

  // On a phone, read only: nothing is wider than the screen, and the buttons say why they do nothing.
  await timed()
  const phone = await visit(reading, '#/projections')
  await phone.setViewportSize({ width: 375, height: 740 })
  for (const view of ['projections', 'timers', 'processes']) {
    await phone.evaluate(`location.hash = '#/${view}'`)
    await row('', phone).first().waitFor()
    const wide = await phone.evaluate(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    )
    assert.ok(Number(wide) <= 0, view)
    const tools = phone.locator(`#${view} .rows button, #${view} li button`)
    for (const button of await tools.all()) {
      assert.ok(await button.isDisabled(), view)
      assert.match((await button.getAttribute('title'))!, '--write')
    }
    if (view !== 'processes') assert.ok((await tools.count()) > 0, view)
  }
  assert.equal(complaints, [])
  void category
})

test.run()
