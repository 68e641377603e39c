// @direct @long
// Fifty tabs of one browser read the same feed over HTTP/1.1, which allows six connections: each gets every event once and in order,
// and requests of the tabs still pass. A tab whose token expires goes on with a new one.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventFeed, stateFeed } from '../src/http/index.ts'
import type { Decider, RecordedEvent } from '../src/index.ts'
import type { Serving } from './support/http.ts'
import { serve } from './support/http.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const EXECUTABLE = '/usr/bin/chromium'
const there = existsSync(EXECUTABLE)
const inBrowser = unless(!there && `there is no ${EXECUTABLE} (Debian: apt-get install chromium)`, test)
const ARGS = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'
const TABS = 50
/** What a browser opens to one host. */
const CONNECTIONS = 6

const root = resolve(import.meta.dirname, '..')
const PAGE = `<!doctype html><title>tab</title><script src="/rxjs.js"></script>
<script type="importmap">{ "imports": { "rxjs": "data:text/javascript,export const { Observable } = globalThis.rxjs" } }</script>
<script type="module">
  import { remote } from '/client/index.js'
  globalThis.seen = []
  globalThis.states = []
  const query = new URLSearchParams(location.search)
  const token = async () => ({ Authorization: await (await fetch('/token')).text() })
  const shop = remote(query.has('secret') ? '/secret' : '/events', query.has('secret') ? { headers: token } : {})
  shop.status$.subscribe(({ state }) => (document.documentElement.dataset.state = state))
  if (query.has('category'))
    shop.events({ category: query.get('category') }).subscribe({
      next: ({ data }) => seen.push(data.n),
      error: ({ code }) => (globalThis.failure = code),
    })
  if (query.has('state')) shop.watch('count', query.get('state')).subscribe(({ state }) => states.push(state.count))
</script>`

const category = uniqueName('tabs')
const count: Decider<unknown, RecordedEvent, { count: number }> = {
  category,
  initial: { count: 0 },
  evolve: ({ count }) => ({ count: count + 1 }),
  decide: () => [],
}
const meow = await openStore()
const options = { authorize: () => true, heartbeatMs: 1_000 }
const events = eventFeed(meow, options)
const states = stateFeed(meow, { count }, options)
/** Tokens are valid until the test says that they are not. */
const tokens = { current: 'token 0', refused: 0 }
const secret = eventFeed(meow, {
  authorize: ({ headers }) => {
    const isValid = headers.get('Authorization') === tokens.current
    if (!isValid) tokens.refused++
    return isValid
  },
  path: '/secret',
  reauthorizeMs: 100,
  heartbeatMs: 1_000,
})
/** How many event streams are open now, and were at most. */
const streams = { open: 0, most: 0 }
let browser: Browser
let context: BrowserContext
let server: Serving

function answer(request: Request): Promise<Response> | Response {
  const { pathname, searchParams } = new URL(request.url)
  if (pathname.startsWith('/events/')) {
    if (searchParams.get('live') === 'sse') {
      streams.most = Math.max(streams.most, ++streams.open)
      request.signal.addEventListener('abort', () => streams.open--)
    }
    return pathname.startsWith('/events/state/') ? states(request) : events(request)
  }
  if (pathname.startsWith('/secret/')) return secret(request)
  if (pathname === '/token') return new Response(issued ?? tokens.current)
  const [, module] = /^\/client\/([\w-]+\.js)$/.exec(pathname) ?? []
  const file = module
    ? join(root, 'dist/client', module)
    : pathname === '/rxjs.js' && join(root, 'node_modules/rxjs/dist/bundles/rxjs.umd.min.js')
  const [body, type] = file ? [readFileSync(file), 'text/javascript'] : [PAGE, 'text/html']
  return new Response(body, { headers: { 'Content-Type': type } })
}

/** What the page is given for a token; undefined: a valid one. */
let issued: string | undefined
let appended = 0
const append = async (size = 1) => {
  const news = Array.from({ length: size }, () => ({ type: 'T', data: { n: appended++ } }))
  await meow.append({ category, streamId: 'a' }, news)
}
const upTo = (end: number) => Array.from({ length: end }, (_, n) => n)
const seen = (tab: Page): Promise<number[]> => tab.evaluate('seen')
const open = async (query: Record<string, string>) => {
  const tab = await context.newPage()
  tab.setDefaultTimeout(60_000)
  await tab.goto(`${server.url}/?${new URLSearchParams(query)}`)
  return tab
}
/** All tabs have all events, each once and in order. */
const areRight = async (tabs: readonly Page[]) => {
  for (const tab of tabs) {
    await until(async () => (await seen(tab)).length >= appended, { what: 'all events' })
    assert.equal(await seen(tab), upTo(appended))
  }
}

test.before(async () => {
  if (!there) return
  server = await serve(answer)
  browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGS.split(' ') })
  context = await browser.newContext()
})
test.after(async () => {
  await browser?.close()
  await server?.close()
  await closeAll()
})

inBrowser('fifty tabs', async () => {
  await append(10)
  const begun = Date.now()
  const tabs: Page[] = []
  for (let n = 0; n < TABS; n += 5)
    tabs.push(...(await Promise.all(Array.from({ length: 5 }, () => open({ category })))))
  await areRight(tabs)
  console.log(`${TABS} tabs after ${Date.now() - begun} ms; ${streams.open} streams`)
  assert.ok(streams.open > 0, 'some get their events pushed')
  for (let n = 0; n < 3; n++) {
    const at = Date.now()
    await append(3)
    await areRight(tabs)
    console.log(`three events in all tabs after ${Date.now() - at} ms`)
  }
  // Nothing starves: a tab that is opened now, and a command, are answered.
  const at = Date.now()
  const late = await open({ category })
  await late.waitForSelector('[data-state=live]')
  await areRight([late])
  console.log(`another tab after ${Date.now() - at} ms`)
  assert.ok(streams.most < CONNECTIONS, `${streams.most} streams`)

  // Tabs with seats are closed: others take them.
  await Promise.all(tabs.splice(0, 10).map((tab) => tab.close()))
  await until(() => streams.open > 0, { what: 'others to take the seats' })
  await append(2)
  await areRight([...tabs, late])

  // States, too.
  const watching = await open({ state: 'a' })
  await until(async () => ((await watching.evaluate('states')) as number[]).at(-1) === appended, {
    what: 'the state',
  })
  await append()
  await until(async () => ((await watching.evaluate('states')) as number[]).at(-1) === appended, {
    what: 'the next state',
  })
  assert.ok(streams.most < CONNECTIONS, `${streams.most} streams`)
})

inBrowser(
  'a token expires while a connection is open: it goes on with a new one; without one it ends',
  async () => {
    await context.close() // the tabs of the other test
    context = await browser.newContext()
    const tab = await open({ category, secret: '' })
    await areRight([tab])
    await tab.waitForSelector('[data-state=live]')
    for (let n = 1; n <= 2; n++) {
      const { refused } = tokens
      tokens.current = `token ${n}`
      await until(() => tokens.refused > refused, { what: 'the old token to be refused' })
      await append()
      await areRight([tab])
    }
    issued = 'token 2'
    tokens.current = 'token 3'
    await until(async () => (await tab.evaluate('globalThis.failure')) === 'ERR_REMOTE_DENIED', {
      what: 'the end',
    })
    await append()
    assert.equal(await seen(tab), upTo(appended - 1))
    issued = undefined
    await tab.close()
  },
)

test.run()
