// @direct
// The page of payment deadlines in Chromium shows what the process manager does: it counts the time down, and an order is paid, or
// cancelled at its time, also if the process manager was away then.
import type { Meow } from 'meowmx'
import type { Browser, Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deadline, startPaymentPage } from '../examples/payment-page/server.ts'
import { inChromium, isChromiumThere, launchChromium } from './support/chromium.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'

const inBrowser = inChromium(test)
const SOON_MS = 1_500

let meow: Meow
let browser: Browser
let page: Page
let server: Awaited<ReturnType<typeof startPaymentPage>>
const complaints: string[] = []

const left = async (id: string) => {
  const text = await page.textContent(`#${id} .what`)
  return Number(/^to be paid within (\d+\.\d) s$/.exec(text!)![1])
}
const place = async () => {
  await page.click('#place')
  return page.waitForSelector('li[data-status=awaited]').then((row) => row.evaluate((one) => one.id))
}

test.before(async () => {
  if (!isChromiumThere) return
  meow = (await openStore()) as unknown as Meow // as programs import it
  server = await startPaymentPage(meow)
  browser = await launchChromium()
  page = await browser.newPage()
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(server.url)
})

test.after(async () => {
  if (!isChromiumThere) return
  await browser?.close()
  await server?.close()
  await closeAll()
  assert.equal(complaints, [])
})

inBrowser('an order that is paid is not cancelled', async () => {
  await using _worker = meow.runProcessManager(deadline(600_000))
  const id = await place()
  const before = await left(id)
  assert.ok(before > 500 && before < 600.1, `${before} s`)
  await until(async () => (await left(id)) < before, { what: 'it to count down' })
  await page.click(`#${id} button`)
  await page.waitForSelector(`#${id}[data-status=paid]`)
  await meow.settled({ names: ['payment-deadline'] })
  const [instance] = (await (await fetch(`${server.url}instances`)).json()) as any[]
  assert.equal([instance.id, instance.state.paid, instance.ended, instance.timers], [id, true, true, []])
})

inBrowser('one that is not paid is cancelled at its time, and can not be paid any more', async () => {
  await using _worker = meow.runProcessManager(deadline(SOON_MS))
  const id = await place()
  await page.waitForSelector(`#${id}[data-status=cancelled]`)
  assert.is(await page.isVisible(`#${id} button`), false)
  const headers = { 'Content-Type': 'application/json' }
  const late = await fetch(`${server.url}orders/${id}/pay`, { method: 'POST', headers, body: '{}' })
  assert.equal([late.status, await late.json()], [409, { error: `it is too late to pay order ${id}` }])
  const types = (await meow.load({ category: 'order', streamId: id })).map(({ type }) => type)
  assert.equal(types, ['OrderPlaced', 'PaymentAwaited', 'OrderCancelled'])
})

inBrowser('the process manager was away at the time: it is cancelled when one runs again', async () => {
  const worker = meow.runProcessManager(deadline(2 * SOON_MS))
  const id = await place()
  await worker.stop()
  await page.waitForSelector(`#${id}:has-text("within 0.0 s")`)
  assert.is(await page.getAttribute(`#${id}`, 'data-status'), 'awaited')
  await using _again = meow.runProcessManager(deadline(SOON_MS))
  await page.waitForSelector(`#${id}[data-status=cancelled]`)
  await page.reload()
  await page.waitForSelector(`#${id}[data-status=cancelled]`)
})

test.run()
