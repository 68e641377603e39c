// @direct
// The command meowmx studio: prints the address of a page that answers, and ends when it is told to.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, startCli } from './support/cli.ts'
import { closeAll, openStore, storeSchema } from './support/store.ts'

const store = ['--schema', storeSchema]
delete process.env.MEOWMX_STUDIO_TOKEN
await openStore()
test.after(closeAll)

test('the address is answered, read only; Ctrl-C ends it', async () => {
  const running = startCli(['studio', '--port', '0', ...store])
  await running.says('read only')
  const url = running.stdout.trim()
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{22}$/)
  assert.is((await fetch(url)).status, 200)
  const { origin, searchParams } = new URL(url)
  const headers = { authorization: `Bearer ${searchParams.get('token')}` }
  const { title, write } = (await (await fetch(`${origin}/api/hello`, { headers })).json()) as any
  assert.ok(title.endsWith(storeSchema), title)
  assert.is(write, false)
  running.child.kill('SIGINT')
  const { code, stderr } = await running.ended
  assert.is(code, 130)
  assert.not.match(stderr, 'unencrypted')
})

test('--write, --title and --json; another address is warned about', async () => {
  const words = ['--write', '--title', 'shop', '--host', '0.0.0.0', '--port', '0', '--json']
  const running = startCli(['studio', ...words, ...store])
  await running.says('can change subscriptions, parked events, projections and timers')
  const { url, write } = JSON.parse(running.stdout)
  assert.is(write, true)
  assert.match(running.stderr, 'every machine that can reach this one can ask for the page')
  const { origin, searchParams } = new URL(url)
  const headers = { authorization: `Bearer ${searchParams.get('token')}` }
  assert.equal(await (await fetch(`${origin}/api/hello`, { headers })).json(), { title: 'shop', write: true })
  running.child.kill('SIGTERM')
  assert.is((await running.ended).code, 143)
})

test('a token of the environment stays, for Prometheus, and is not printed', async () => {
  const token = `stays-${process.pid}.${'~'.repeat(16)}`
  const headers = { authorization: `Bearer ${token}` }
  for (const words of [[], ['--json']]) {
    const env = { MEOWMX_STUDIO_TOKEN: token }
    const running = startCli(['studio', '--port', '0', ...words, ...store], { env })
    await running.says('read only')
    const url = words.length > 0 ? JSON.parse(running.stdout).url : running.stdout.trim()
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/)
    const scraped = await fetch(`${url}metrics`, { headers })
    assert.is(scraped.status, 200)
    assert.match(await scraped.text(), /^meowmx_horizon \d+$/m)
    assert.is((await fetch(`${url}?token=${token}`)).status, 200)
    assert.is((await fetch(`${url}metrics`)).status, 401)
    running.child.kill('SIGTERM')
    const { code, stdout, stderr } = await running.ended
    assert.is(code, 143)
    assert.match(stderr, 'MEOWMX_STUDIO_TOKEN')
    assert.not.match(stdout + stderr, token)
  }
})

test('an invalid token: exit code 2, and one line that does not contain it, whatever the server', async () => {
  const words = ['studio', '--url', 'postgres://127.0.0.1:1/x']
  const tokens = ['', 'brief', 'sixteen characters', `${'a'.repeat(16)}?`]
  const results = await Promise.all(
    tokens.map((token) => cli(words, { env: { MEOWMX_STUDIO_TOKEN: token } })),
  )
  results.forEach(({ code, stdout, stderr }, i) => {
    assert.equal([code, stdout], [2, ''])
    assert.is(
      stderr,
      `meowmx: MEOWMX_STUDIO_TOKEN must be 16 to 200 of the characters A-Z a-z 0-9 - . _ ~, got "***, ${tokens[i]!.length} long"\n`,
    )
  })
  assert.match((await cli(['studio', '--help'])).stdout, 'MEOWMX_STUDIO_TOKEN')
})

test('invalid options are refused', async () => {
  assert.is((await cli(['studio', '--port', '65536', ...store])).code, 2)
  assert.is((await cli(['studio', '--port', 'x', ...store])).code, 2)
  const nowhere = await cli(['studio', '--host', '192.0.2.1', ...store])
  assert.is(nowhere.code, 1)
  assert.match(nowhere.stderr, 'cannot listen at 192.0.2.1')
})

test.run()
