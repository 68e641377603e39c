// If a session ends in the same TCP segment that says that it is ready, the process that owns the pool does not crash.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Tap } from './support/proxy.ts'
import { startProxy } from './support/proxy.ts'
import { closeAll, directUrl, openStore, storeSchema } from './support/store.ts'
import { program } from './support/typescript.ts'
import { until } from './support/until.ts'

const READY = Buffer.from('Z\0\0\0\x05', 'latin1')
const FIELDS = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'
const FATAL = Buffer.concat([
  Buffer.from('E\0\0\0', 'latin1'),
  Buffer.from([FIELDS.length + 4]),
  Buffer.from(FIELDS),
])
const childFile = fileURLToPath(new URL('support/ending-child.ts', import.meta.url))
test.after(closeAll)

/** At which of its answers each session ends: the first is that to its login. */
const AT = [1, 2, 1, 3, 1, 5, 8]

const kinds = {
  own: 'a pool of our own',
  lent: 'a lent pool',
  pipelines: 'a lent pool of pipelines',
  one: 'a lent pool of one connection, for which others wait',
}
for (const [kind, name] of Object.entries(kinds))
  test(name, async () => {
    await openStore()
    let left = 30 // sessions that are to end so
    let sessions = 0
    const tap = (reset: () => void): Tap => {
      const session = sessions++
      const fatal = session % 3 === 2 ? [FATAL, FATAL] : [FATAL]
      let answers = 0
      return {
        there: () => {},
        back: (chunk) => {
          const ready = chunk.subarray(-6, -1).equals(READY)
          if (!ready || ++answers < AT[session % AT.length]! || left === 0) return chunk
          left--
          setTimeout(reset, 5)
          return Buffer.concat([chunk, ...fatal])
        },
      }
    }
    const proxy = await startProxy(directUrl(), tap)
    const child = spawn(process.execPath, [...program(childFile), proxy.url, storeSchema, kind], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text
    })
    const isDead = () => child.exitCode !== null || child.signalCode !== null
    const untilChild = (what: string, isSo: () => boolean) =>
      until(() => isSo() || isDead(), { what, timeoutMs: 120_000 })
    try {
      await untilChild('sessions to end', () => left === 0)
      child.stdin.write('enough')
      await untilChild('the child to see all it wrote', () => said.includes('armed'))
      left = 20 // and while it closes
      child.stdin.end('go')
      const [code] = await ended
      assert.is(said, 'armed\n')
      assert.is(code, 0)
    } finally {
      child.kill('SIGKILL')
      await proxy.close()
    }
  })

test.run()
