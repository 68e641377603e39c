// @direct
// The command meowmx serve: a feed that is read only, needs its token, and ends when it is told to.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { remote } from '../src/client/index.ts'
import { cli, startCli } from './support/cli.ts'
import { collect } from './support/collect.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'

const store = ['--schema', storeSchema]
delete process.env.MEOWMX_SERVE_TOKEN
const meow = await openStore()
test.after(closeAll)

test('the printed address is answered; without the token nothing is; Ctrl-C ends it', async () => {
  const category = uniqueName('served')
  const running = startCli(['serve', '--port', '0', ...store])
  await running.says('read only')
  const address = new URL(running.stdout.trim())
  assert.is((await fetch(address)).status, 200)
  assert.is((await fetch(address, { method: 'POST' })).status, 405)
  const headers = { Authorization: `Bearer ${address.searchParams.get('token')}` }
  const there = collect(remote(`${address.origin}/events`, { headers }).events({ category }))
  await meow.append({ category, streamId: '1' }, { type: 'Said', data: {} })
  await there.has(1)
  there.subscription.unsubscribe()
  address.searchParams.set('token', 'x'.repeat(22))
  assert.is((await fetch(address)).status, 403)
  running.child.kill('SIGINT')
  assert.is((await running.ended).code, 130)
})

test('--json, --cors; a token of the environment is not printed, and is checked', async () => {
  const token = `stays-${process.pid}.${'~'.repeat(16)}`
  const words = ['serve', '--port', '0', '--json', '--cors', 'https://shop.example', ...store]
  const running = startCli(words, { env: { MEOWMX_SERVE_TOKEN: token } })
  await running.says('read only')
  assert.not.match(running.stdout + running.stderr, token)
  const { url } = JSON.parse(running.stdout)
  const headers = { Authorization: `Bearer ${token}`, Origin: 'https://shop.example' }
  const response = await fetch(`${url}/all`, { headers })
  assert.is(response.headers.get('access-control-allow-origin'), 'https://shop.example')
  running.child.kill('SIGTERM')
  assert.is((await running.ended).code, 143)
  const refused = await cli(['serve', '--port', '0', ...store], { env: { MEOWMX_SERVE_TOKEN: 'short' } })
  assert.is(refused.code, 2)
  assert.match(refused.stderr, /MEOWMX_SERVE_TOKEN must be 16 to 200/)
})

test.run()
