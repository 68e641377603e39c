// @direct
// The page of live orders in Chromium stays right over offline spells, restarts of the server, a sleep and refusals.
import type { Meow } from 'meowmx'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { order, startLiveOrders } from '../examples/live-orders/server.ts'
import { inChromium, isChromiumThere, launchChromium } from './support/chromium.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'

const inBrowser = inChromium(test)

let meow: Meow
let browser: Browser
let context: BrowserContext
let page: Page
let server: Awaited<ReturnType<typeof startLiveOrders>>
let allowed = true
const isUser = () => allowed
const complaints: string[] = []

const place = (id: string) => meow.decide(order, id, { do: 'place', item: `item of ${id}`, price: 5 })
const seen = (on = page): Promise<number[]> => on.evaluate(() => (globalThis as any).seen)
const status = (state: string, on = page) => on.waitForSelector(`#status[data-state=${state}]`)
/** The page has seen all events of the store, each once, in order. */
async function isRight(on = page): Promise<void> {
  const stored = (await meow.read({ category: 'order' })).events.map(({ position }) => position)
  await until(async () => (await seen(on)).length >= stored.length, { what: 'all events', timeoutMs: 30_000 })
  assert.equal(await seen(on), stored)
}

test.before(async () => {
  if (!isChromiumThere) return
  meow = (await openStore()) as unknown as Meow // as programs import it
  await place('first')
  server = await startLiveOrders(meow, { isUser })
  browser = await launchChromium()
  context = await browser.newContext({ viewport: { width: 760, height: 420 } })
  page = await context.newPage()
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(server.url)
  await status('live')
})

test.after(async () => {
  if (!isChromiumThere) return
  await browser?.close()
  await server?.close()
  await closeAll()
  assert.equal(complaints, [])
})

inBrowser('orders appear as they are placed, and what the user does is there at once', async () => {
  await page.waitForSelector('#first')
  await place('second')
  await page.waitForSelector('#second:not([data-pending])')
  // The answer to the command is held back: the row is there before, and pending.
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  await page.route('**/orders/*', async (route) => {
    await held
    await route.continue()
  })
  await page.fill('[name=item]', 'Flat white')
  await page.fill('[name=price]', '4.5')
  await page.click('form button')
  await page.waitForSelector('tr[data-pending]:has-text("Flat white")')
  release()
  await page.waitForSelector('tr:not([data-pending]):has-text("Flat white")')
  await page.unroute('**/orders/*')
  await page.click('#first button')
  await page.waitForSelector('#first:not([data-pending]):has-text("shipped")')
  await isRight()
})

inBrowser('what the server refuses is taken back', async () => {
  await page.fill('[name=item]', 'Nothing')
  await page.fill('[name=price]', '-1')
  await page.click('form button')
  await page.waitForSelector('#error:has-text("the price must be above 0")')
  assert.is(await page.locator('tr:has-text("Nothing")').count(), 0)
  const picture = process.env.MEOWMX_SCREENSHOT
  if (picture) {
    await page.evaluate(() => {
      ;(globalThis as any).document.querySelector('#error').textContent = ''
    })
    await page.screenshot({ path: picture })
  }
})

inBrowser('offline and online', async () => {
  const port = Number(new URL(server.url).port)
  for (let n = 0; n < 2; n++) {
    await context.setOffline(true)
    await server.close() // going offline leaves open connections as they are in Chromium
    await status('reconnecting')
    server = await startLiveOrders(meow, { port, isUser })
    const before = await seen()
    await place(`offline-${n}`)
    assert.equal(await seen(), before)
    await context.setOffline(false)
    await page.waitForSelector(`#offline-${n}`)
    await status('live')
  }
  await isRight()
})

inBrowser('the server restarts, and the page goes on by itself', async () => {
  const port = Number(new URL(server.url).port)
  for (let n = 0; n < 2; n++) {
    await server.close()
    await status('reconnecting')
    await place(`restart-${n}`)
    server = await startLiveOrders(meow, { port, isUser })
    await status('live')
    await page.waitForSelector(`#restart-${n}`)
  }
  await isRight()
})

inBrowser('a laptop that sleeps catches up', async () => {
  // The tabs' processes stand still. Chromium's own freezing of a page (Page.setWebLifecycleState) lets events through, headless.
  const session = await browser.newBrowserCDPSession()
  const { processInfo } = await session.send('SystemInfo.getProcessInfo')
  const tabs = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
  const before = await seen()
  for (const id of tabs) process.kill(id, 'SIGSTOP')
  try {
    let isAwake = false
    const asked = seen().then((value) => {
      isAwake = true
      return value
    })
    for (let n = 0; n < 20; n++) await place(`asleep-${n}`)
    const port = Number(new URL(server.url).port)
    await server.close() // the connection does not outlive the sleep
    server = await startLiveOrders(meow, { port, isUser })
    assert.is(isAwake, false)
    for (const id of tabs) process.kill(id, 'SIGCONT')
    assert.ok((await asked).length < before.length + 20, 'the tab slept')
    await isRight()
  } finally {
    for (const id of tabs) process.kill(id, 'SIGCONT')
  }
})

inBrowser('several tabs show the same', async () => {
  // As many as have a stream each; test/http-tabs.test.ts has more.
  const tabs = await Promise.all(Array.from({ length: 4 }, () => context.newPage()))
  for (const tab of tabs) await tab.goto(server.url)
  await place('for-all')
  for (const tab of tabs) await isRight(tab)
  await Promise.all(tabs.map((tab) => tab.close()))
})

inBrowser('when the user may no longer read, the page says so', async () => {
  allowed = false
  const port = Number(new URL(server.url).port)
  await server.close()
  server = await startLiveOrders(meow, { port, isUser })
  await page.waitForSelector('#error:has-text("status 403")', { timeout: 30_000 })
  const before = await seen()
  await place('unseen')
  assert.equal(await seen(), before)
})

test.run()
