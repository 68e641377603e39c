// @direct
// The command meowmx studio: prints the address of a page that answers, and ends when it is told to.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, startCli } from './support/cli.ts'
import { closeAll, openStore, storeSchema } from './support/store.ts'

const store = ['--schema', storeSchema]
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
  await running.says('can be replayed')
  const { url, write } = JSON.parse(running.stdout)
  assert.is(write, true)
  assert.match(running.stderr, 'every machine that reaches this one can ask for the page')
  const { origin, searchParams } = new URL(url)
  const headers = { authorization: `Bearer ${searchParams.get('token')}` }
  assert.equal(await (await fetch(`${origin}/api/hello`, { headers })).json(), { title: 'shop', write: true })
  running.child.kill('SIGTERM')
  assert.is((await running.ended).code, 143)
})

test('what can not be right is refused', async () => {
  assert.is((await cli(['studio', '--port', '65536', ...store])).code, 2)
  assert.is((await cli(['studio', '--port', 'x', ...store])).code, 2)
  const nowhere = await cli(['studio', '--host', '192.0.2.1', ...store])
  assert.is(nowhere.code, 1)
  assert.match(nowhere.stderr, 'can not listen at 192.0.2.1')
})

test.run()
