// @direct
// The studio's page, in a real browser, against a store under load.
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent, Worker } from '../src/index.ts'
import type { Studio } from '../src/studio/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const EXECUTABLE = '/usr/bin/chromium'
// Without the network, which it would look for by itself.
const ARGS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'
const inBrowser = unless(
  !existsSync(EXECUTABLE) && `there is no ${EXECUTABLE} (Debian: apt-get install chromium)`,
  test,
)
const there = existsSync(EXECUTABLE)

/** Markup that would run, wherever it became part of the page. */
const EVIL = `<img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script>"'>&lt;`
const evilEvent = (n: number) => ({
  type: `Type ${n} ${EVIL}`,
  data: { [EVIL]: EVIL, n, keep: true },
  metadata: { [EVIL]: 1 },
})
const order = uniqueName('order')
const evil = `${uniqueName('evil')}${EVIL}`
const mailer = uniqueName('mailer')
const SECRET = 'no address for stream o-3'

let meow: Meow
let reading: Studio
let writing: Studio
let browser: Browser
let page: Page // with a token that may only read
let writer: Page
let worker: Worker
let mended = false
let loading = true
let load: Promise<void>
const complaints: string[] = []

test.before(async () => {
  if (!there) return
  meow = await openStore({ pollIntervalMs: 200 })
  worker = meow.subscription(mailer, { category: order, partitions: 2 }).process(
    (event: RecordedEvent) => {
      if (!mended && event.streamId === 'o-3') throw new Error(`${SECRET} ${EVIL}`)
    },
    { retry: { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 1 } },
  )
  await meow.append({ category: order, streamId: 'o-3' }, { type: 'Placed', data: { price: 1 } })
  await meow.append({ category: evil, streamId: EVIL }, [evilEvent(1), evilEvent(2)])
  load = append()
  ;[reading, writing] = await Promise.all([
    startStudio(meow, { title: EVIL }),
    startStudio(meow, { write: true }),
  ])
  browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGS.split(' ') })
  page = await visit(reading, '')
})

test.after(async () => {
  if (!there) return
  loading = false
  await load
  await browser?.close()
  await Promise.all([reading, writing].map((studio) => studio?.close()))
  await worker.stop()
  await closeAll()
  assert.equal(complaints, [])
})

/** Some fifty events a second, of four streams, one of which is parked. */
async function append(): Promise<void> {
  for (let n = 0; loading; n++) {
    const events = Array.from({ length: 5 }, () => ({
      type: n % 2 ? 'Paid' : 'Shipped',
      data: { price: n, step: n },
    }))
    await meow.append({ category: order, streamId: `o-${n % 4}` }, events)
    await delay(100)
  }
}

async function visit(studio: Studio, hash: string): Promise<Page> {
  const page = await browser.newPage({ colorScheme: 'light' })
  page.setDefaultTimeout(30_000)
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  await page.goto(`${studio.url}${hash}`)
  return page
}

/** Asks the browser less often than `until` by itself, which would keep it busy. */
const eventually = (what: string, condition: () => Promise<unknown>) =>
  until(async () => (await condition()) || delay(50, false), { what, timeoutMs: 30_000 })
const text = (selector: string, on = page) => on.locator(selector).innerText()
const first = () => page.locator('#events tr').first().innerText()
const isVisible = (selector: string) => page.locator(selector).isVisible()
const go = (hash: string) => page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
const overflow = () =>
  page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')

/** How many colours there are on a canvas: one, where nothing is drawn. */
const inked = (selector: string) =>
  page.evaluate(`(() => {
    const canvas = document.querySelector('${selector} canvas')
    if (!canvas) return 0
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    return new Set(new Uint32Array(data.buffer)).size
  })()`)

inBrowser('the token leaves the address, and the tab keeps it', async () => {
  await page.locator('#categories').waitFor()
  assert.not.match(page.url(), 'token')
  await page.reload()
  await page.locator('#category-table tbody tr', { hasText: order }).waitFor()
  assert.is(await page.evaluate('document.cookie'), '')
  const stranger = await browser.newPage()
  await stranger.goto(new URL(reading.url).origin)
  const told = async () => (await text('#trouble', stranger)).includes('the address that the studio printed')
  await eventually('the word', told)
  assert.is(await stranger.locator('tbody tr').count(), 0)
  await stranger.close()
})

inBrowser('categories count and rate, by keys from view to view', async () => {
  await go('#/categories')
  const cells = page.locator('#category-table tbody tr', { hasText: order }).locator('td')
  const events = async () => Number((await cells.nth(2).innerText()).replaceAll(',', ''))
  const before = await cells.nth(2).waitFor().then(events)
  await eventually('the count to grow', async () => (await events()) > before)
  await eventually('the rate', async () => Number(await cells.nth(1).innerText()) > 1)
  await eventually('a plot', async () => Number(await inked('#rates')) > 2)
  for (const [key, view] of [
    ['2', 'tail'],
    ['3', 'stream'],
    ['4', 'subscriptions'],
    ['5', 'projections'],
    ['6', 'timers'],
    ['7', 'processes'],
    ['8', 'stallers'],
    ['9', 'search'],
    ['1', 'categories'],
  ]) {
    await page.keyboard.press(key!)
    await page.locator(`#${view}`).waitFor()
    assert.is(await page.locator('section:visible').count(), 1)
    assert.is(await page.locator('nav a[aria-current=page]').getAttribute('href'), `#/${view}`)
  }
  await page.locator('nav a').first().focus()
  await page.keyboard.press('ArrowRight')
  await page.locator('#tail').waitFor()
  assert.is(await page.evaluate('document.activeElement.hash'), '#/tail')
  assert.is.not(
    await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'),
    'none',
    'the focus is seen',
  )
  await page.keyboard.press('?')
  await page.locator('#help').waitFor()
  await page.keyboard.press('Escape')
  assert.is(await isVisible('#help'), false)
})

inBrowser('the tail moves, stops, and goes on; the filter lets through what it names', async () => {
  await go('#/tail')
  await page.locator('#events tr').first().waitFor()
  const then = await first()
  await eventually('the tail to move', async () => (await first()) !== then)

  await page.keyboard.press(' ')
  await eventually('what came meanwhile', async () => /Paused: [1-9]/.test(await text('#tail-note')))
  const held = await first()
  const note = await text('#tail-note')
  await eventually('more to come', async () => (await text('#tail-note')) !== note)
  assert.is(await first(), held)
  await page.keyboard.press(' ')
  await eventually('the tail to go on', async () => (await first()) !== held)

  await page.keyboard.press('/')
  await page.keyboard.type(`${order} paid -o-1 `)
  const rows = page.locator('#events tr')
  await eventually('only those', async () => {
    const all = await rows.allInnerTexts()
    return (
      all.length > 3 &&
      all.every((row) => row.includes('Paid') && row.includes(order) && !row.includes('o-1'))
    )
  })
  await page.keyboard.press('Escape')
  await page.keyboard.press('ArrowDown')
  assert.match(await page.evaluate('document.activeElement.hash'), '#/stream/')
})

inBrowser('the history of a stream, by slider and by key', async () => {
  await go(`#/tail`)
  await page.locator('#filter').fill(evil.slice(0, 17))
  await meow.append({ category: evil, streamId: EVIL }, evilEvent(3)) // among the last ones when the filtered tail begins, or in it
  await page.locator('#events a', { hasText: 'img' }).first().click()
  await page.locator('#version').waitFor()
  await eventually('the newest', async () => (await text('#where')).includes('event 3 of 3'))
  assert.match(await text('#where'), /recorded \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\s+position [\d,]+/)
  assert.match(await text('#state'), '"n": 3')
  assert.is((await text('#changes')).trim().replace(/\s+/g, ' '), 'n 2 3')
  assert.match(await text('#unchanged'), '2 set to the value they already had')
  assert.match(await text('#fold-note'), 'Object.assign')

  await page.locator('#version').focus()
  await page.keyboard.press('ArrowLeft')
  await eventually('the one before', async () => (await text('#where')).includes('event 2 of 3'))
  assert.match(await text('#state'), '"n": 2')
  await page.locator('#version').fill('0')
  await eventually('the first', async () => (await text('#where')).includes('event 1 of 3'))
  assert.match(await text('#event-title'), 'Type 1')
  assert.is(await page.locator('#changes tr.added').count(), 3)
  assert.ok(await page.locator('#back').isDisabled())
  await page.locator('#version').blur()
  await page.keyboard.press('ArrowRight')
  await eventually('the next', async () => (await text('#where')).includes('event 2 of 3'))
  assert.is(
    await page
      .locator('#around a[aria-current]')
      .innerText()
      .then((line) => line.split('\n')[0]),
    '1',
  )

  // A stream that grows is followed.
  await page.locator('#stream-category').fill(order)
  await page.locator('#stream-id').fill('o-0')
  await page.keyboard.press('Enter')
  const last = async () => Number(/of ([\d,]+)/.exec(await text('#where'))?.[1]?.replaceAll(',', ''))
  await eventually('the other stream', async () => page.url().endsWith(`${order}/o-0`) && (await last()) > 2)
  const before = await last()
  await eventually('it to grow', async () => (await last()) > before)
  await page.locator('#stream-id').fill('none')
  await page.keyboard.press('Enter')
  await eventually('none', async () => (await text('#stream-note')).includes('There is no stream'))
})

inBrowser(
  'a subscription: its lag as a plot, its owners, what it parked and why; read only, no replay',
  async () => {
    await go(`#/subscriptions/${mailer}`)
    await page.locator('#parked li').waitFor()
    assert.match(await text('#parked .reason'), SECRET)
    const note = await text('#parked .note')
    await page.locator('#parked li a').focus()
    await eventually('more of the stream to wait', async () => (await text('#parked .note')) !== note)
    assert.ok(await page.evaluate(`document.activeElement.closest('#parked') !== null`), 'the focus stays')
    await page.locator('#parked summary').first().click()
    assert.match(await text('#parked details[open] pre'), ' at ')
    await eventually('the owner', async () => /:\d+:/.test(await text('#partitions')))
    assert.is(await page.locator('#partitions tr').count(), 2)
    await eventually('a plot', async () => Number(await inked('#lag')) > 2)
    for (const button of ['#replay-all', '#parked button']) {
      assert.ok(await page.locator(button).first().isDisabled())
      assert.match((await page.locator(button).first().getAttribute('title'))!, '--write')
    }
    // Nor where the button is not asked.
    const answer = await page.evaluate(`fetch('/api/replay', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: 'Bearer ' + sessionStorage.getItem('meowmx.studio.token') },
    body: JSON.stringify({ subscription: '${mailer}' }),
  }).then((response) => response.status)`)
    assert.is(answer, 403)
    complaints.splice(0) // the browser's own word of that answer
    assert.is((await meow.parked(mailer))[0]!.attempts, 2)
  },
)

inBrowser('with write, a parked stream is replayed by its button', async () => {
  writer = await visit(writing, `#/subscriptions/${mailer}`)
  const replay = writer.locator('#parked button', { hasText: 'Replay' })
  await replay.waitFor()
  mended = true
  await replay.click()
  await writer.locator('#ask-yes').click()
  const empty = async () => (await text('#parked-note', writer)).includes('Nothing is parked')
  await eventually('it to be empty', empty)
  assert.is((await meow.parked(mailer)).length, 0)
})

inBrowser('an append that stays open stands among the stallers', async () => {
  await go('#/categories')
  const client = await pgClient({ application_name: `held ${EVIL}`.slice(0, 60) })
  await client.query('begin')
  await meow.append({ category: evil, streamId: 'open' }, { type: 'T', data: 1 }, { client })
  await page.locator('#stalling').waitFor()
  await page.keyboard.press('8')
  const row = page.locator('#staller-table tbody tr', { hasText: 'held' })
  await row.waitFor()
  assert.match(await row.innerText(), evil.slice(0, 17))
  await client.query('rollback')
  await eventually('its end', async () => (await row.count()) === 0)
})

inBrowser('names and payloads are text, wherever they are shown', async () => {
  await go('#/categories')
  await eventually('the title', async () => (await text('#title')) === EVIL)
  const address = [evil, EVIL].map(encodeURIComponent).join('/')
  for (const hash of [
    '#/categories',
    `#/tail/${encodeURIComponent(evil.slice(0, 17))}`,
    `#/stream/${address}/1`,
  ]) {
    await go(hash)
    await eventually(hash, async () => (await text('section:visible')).includes('<img src=x onerror='))
  }
  assert.is(await page.locator('main img, main script').count(), 0)
  assert.is(await page.evaluate('globalThis.pwned'), undefined)
  // Nor can the page's own script turn text into markup: Trusted Types refuse.
  assert.match(
    await page.evaluate(
      `(() => { try { document.body.innerHTML = '<b>x</b>' } catch (error) { return String(error) } })()`,
    ),
    'TrustedHTML',
  )
  complaints.splice(0)
})

inBrowser('a page of another origin can neither read it, nor post to it, nor lead to it', async () => {
  // Another port is another origin of the same site: the closest that a foreign page can get.
  const other = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<p>x'))
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  await writer.goto(`http://127.0.0.1:${port}/`)
  const { origin } = new URL(writing.url)
  const fetched = (path: string, options: object = {}) =>
    writer.evaluate(
      `fetch(${JSON.stringify(origin + path)}, ${JSON.stringify(options)}).then(({ status }) => status, String)`,
    )
  const tried = [
    await fetched('/api/hello', { credentials: 'include' }),
    await fetched(new URL(writing.url).search),
    await fetched('/main.js', { mode: 'no-cors' }),
    await fetched('/api/replay', { method: 'POST', body: '{}', mode: 'no-cors' }),
  ]
  for (const outcome of tried) assert.match(String(outcome), 'Failed to fetch')
  await writer.evaluate(`location.href = ${JSON.stringify(writing.url)}`)
  const led = async () => (await text('body', writer)).includes('links from other sites are not followed')
  await eventually('the refusal', led)
  complaints.splice(0) // the browser's own words of these
  await writer.close()
  other.close()
})

inBrowser('on a phone nothing is wider than the screen', async () => {
  await page.setViewportSize({ width: 375, height: 740 })
  for (const hash of [
    '#/categories',
    '#/tail',
    `#/stream/${order}/o-0`,
    `#/stream/${encodeURIComponent(evil)}/${encodeURIComponent(EVIL)}`,
    `#/subscriptions/${mailer}`,
    '#/stallers',
  ]) {
    await go(hash)
    await page.locator('section:visible :is(tbody tr, #version), #stallers:visible').first().waitFor()
    assert.ok(Number(await overflow()) <= 0, hash)
  }
  await page.setViewportSize({ width: 1280, height: 800 })
})

inBrowser('dark and light, as the system has it or as one likes', async () => {
  const brightness = async () => {
    const colour = (await page.evaluate('getComputedStyle(document.body).backgroundColor')) as string
    return Number(/\d+/.exec(colour)![0])
  }
  const isDark = async () => (await brightness()) < 60
  const isLight = async () => (await brightness()) > 200
  assert.ok(await isLight())
  await page.emulateMedia({ colorScheme: 'dark' })
  await eventually('the dark', isDark)
  await page.keyboard.press('t') // light
  assert.ok(await isLight())
  await page.reload()
  assert.ok(await isLight(), 'remembered')
  await page.locator('#theme').click() // dark
  assert.ok(await isDark())
  await page.locator('#theme').click() // as the system has it
  await page.emulateMedia({ colorScheme: 'light' })
  await eventually('the light', isLight)
})

inBrowser('the page says when the studio is gone, and comes back with it', async () => {
  await go('#/tail')
  await page.locator('#filter').fill('')
  await page.locator('#events tr').first().waitFor()
  await reading.close()
  await eventually('the word', async () => (await text('#trouble')).includes('No connection'))
  const { port, searchParams } = new URL(reading.url)
  reading = await startStudio(meow, { port: Number(port), token: searchParams.get('token')! })
  await eventually('the end of it', async () => !(await isVisible('#trouble')))
  const then = await first()
  await eventually('the tail', async () => (await first()) !== then)
  const positions = (await page.locator('#events .pos').allInnerTexts()).map((text) =>
    Number(text.replaceAll(',', '')),
  )
  assert.equal(
    positions,
    [...new Set(positions)].sort((a, b) => b - a),
    'each once, in order',
  )
  complaints.splice(0) // of the connections that failed
})

test.run()
