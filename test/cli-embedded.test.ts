// @direct
// The command meowmx --embedded: a first try needs nothing.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, masked, parsed } from './support/cli.ts'

const dir = mkdtempSync(join(tmpdir(), 'meowmx-cli-'))
test.after(() => rmSync(dir, { recursive: true }))

test('--embedded: a server of its own, migrated, kept in a directory; and demo on a throw-away one', async () => {
  const data = join(dir, 'data')
  const env = { DATABASE_URL: undefined }
  const [first, demo] = await Promise.all([
    cli(['append', '--embedded', data, 'order', '42', 'OrderPlaced', '{"price": 9}'], { env }),
    cli(['demo', '--embedded', '--count', '3', '--every-ms', '0', '--json'], { env }),
  ])
  assert.equal(first, { code: 0, stdout: 'appended order/42@0 OrderPlaced at position 1\n', stderr: '' })
  const second = await cli(['read', `--embedded=${data}`], { env })
  assert.equal(
    [second.code, masked(second.stdout), second.stderr],
    [0, '1 <time> order/42@0 OrderPlaced {"price":9}\n', ''],
  )
  assert.equal([demo.code, demo.stderr], [0, ''])
  const said = parsed(demo.stdout)
  const { events, sum, medianMs } = said.at(-1)
  assert.equal([said.length, events, sum], [7, 6, 0])
  assert.ok(medianMs > 0 && said.slice(0, -1).every(({ pushedMs }) => pushedMs > 0))
})

test.run()
