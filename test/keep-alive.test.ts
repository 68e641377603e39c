// @direct
// Routers forget idle connections silently. The operating system sends a keep-alive every minute, and a connection that was
// idle for long is checked before it is used, so that the next call does not take queryTimeoutMs.
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startProxy } from './support/proxy.ts'
import { listening } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

test.after(closeAll)

const event = { type: 'Happened', data: {} }

/** After this many idle ms. */
const idle = (ms: number) => {
  const began = performance.now()
  return until(() => performance.now() - began > ms, { timeoutMs: 60_000, what: 'time to pass' })
}

/** In how many seconds the kernel asks whether the other end of this process's connection is alive, by its local port. */
function keepAliveOf(port: number): number | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    const line = text.split('\n').find((one) => one.trim().split(/\s+/)[1]?.endsWith(`:${hex}`))
    const [timer, when] = line?.trim().split(/\s+/)[5]?.split(':') ?? []
    if (timer === '02') return Number.parseInt(when!, 16) / 100
  }
  return undefined
}

const onLinux = unless(existsSync('/proc/net/tcp') ? '' : 'there is no /proc/net/tcp here', test)

onLinux(
  'keep-alive asks within a minute by default, and as the option says, on each connection',
  async () => {
    for (const [keepAliveMs, most] of [
      [undefined, 60],
      [7_000, 7],
    ] as const) {
      const schema = uniqueName('alive')
      const meow = await openStore({ schema, ...(keepAliveMs ? { keepAliveMs } : {}) })
      const observed = meow.events({}).subscribe()
      await listening(meow)
      await meow.append({ category: 'c', streamId: '1' }, event)
      const sql = await pgClient()
      const ports = async () => {
        const { rows } = await sql.query(
          'select client_port as port, application_name as name from pg_stat_activity where application_name = any ($1)',
          [[`meowmx ${schema}`, `meowmx listener ${schema}`]],
        )
        return rows as { port: number; name: string }[]
      }
      await until(async () => new Set((await ports()).map(({ name }) => name)).size === 2, {
        what: 'both kinds',
      })
      const asks = async () => (await ports()).map(({ port }) => keepAliveOf(port))
      // One that has just sent something has another timer.
      const all = async () => (await asks()).every((seconds) => seconds !== undefined && seconds <= most)
      await until(all, { what: `keep-alive within ${most} s, not ${await asks()}` })
      observed.unsubscribe()
      await meow.close()
    }
  },
)

for (const what of ['append', 'load'] as const) {
  test(`a silent cut while nothing happened: ${what} works in a small part of queryTimeoutMs`, async () => {
    const proxy = await startProxy(databaseUrl())
    const queryTimeoutMs = 60_000
    const meow = await openStore({
      connectionString: proxy.url,
      listen: false,
      keepAliveMs: 1_000,
      queryTimeoutMs,
    })
    const stream = { category: uniqueName('cut'), streamId: '1' }
    await Promise.all([
      meow.append(stream, event),
      meow.load(stream),
      meow.read({ category: stream.category }),
    ])
    proxy.blackhole()
    await proxy.heal() // new connections pass; those that there are stay silent
    await idle(1_500)
    const began = performance.now()
    if (what === 'append') await meow.append(stream, event)
    assert.is((await meow.load(stream)).length, what === 'append' ? 2 : 1)
    const tookMs = performance.now() - began
    assert.ok(tookMs < queryTimeoutMs / 2, `${tookMs} ms`)
    await meow.close({ timeoutMs: 1_000 })
    await proxy.close()
  })
}

test('a live connection is used again after a long pause, with its prepared statements', async () => {
  const schema = uniqueName('alive')
  const meow = await openStore({ schema, listen: false, keepAliveMs: 1_000 })
  const stream = { category: 'c', streamId: '1' }
  await meow.append(stream, event)
  const sql = await pgClient()
  const pids = async () =>
    (
      await sql.query('select pid from pg_stat_activity where application_name = $1 order by 1', [
        `meowmx ${schema}`,
      ])
    ).rows.map(({ pid }) => pid)
  await idle(1_500)
  const before = await pids()
  await meow.append(stream, event)
  assert.ok(
    (await pids()).every((pid) => before.includes(pid)),
    'no new connection',
  )
  await meow.close()
})

test.run()
