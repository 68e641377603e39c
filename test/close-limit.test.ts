// @direct
// meow.close({ timeoutMs }) ends even if something hangs: everything that waits completes or rejects, no connection and no
// handle is left, and events that were being handled are handled elsewhere at once.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ClosedError, ValidationError } from '../src/index.ts'
import { memoryStore } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'
import { until } from './support/until.ts'

test.after(closeAll)

for (const [what, limits] of [
  ['a limit', [{ timeoutMs: 300 }]],
  ['a shorter one later', [null, { timeoutMs: 3_600_000 }, { timeoutMs: 100 }, { timeoutMs: 50_000 }]],
  ['none', [{ timeoutMs: 0 }]],
] as const) {
  test(`everything hangs, and close() with ${what} ends it`, async () => {
    const schema = uniqueName('hang')
    const store = await openStore({ schema })
    const file = new URL('support/hang-child.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [...program(file), schema, JSON.stringify(limits)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const late = setTimeout(() => child.kill('SIGKILL'), 120_000)
    const [output, [code, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')])
    clearTimeout(late)
    assert.equal([code, signal], [0, null], `it ends by itself: ${output}`)
    const { took, outcomes, warnings, left } = JSON.parse(output)
    console.log(`closed in ${Math.round(took)} ms with the limits ${JSON.stringify(limits)}`)
    assert.ok(took < 30_000, `${took} ms`)
    const { 'an append': append, 'an append of the caller': _, ...rest } = outcomes
    assert.ok(['ERR_OUTCOME_UNKNOWN', 'ERR_CLOSED'].includes(append), append)
    assert.equal(rest, {
      'stop() before close()': 'resolved',
      'a worker': 'resolved',
      'a transactional worker': 'resolved',
      'a relay': 'resolved',
      'deliveries()': 'complete',
      'handle()': 'complete',
      'the signal of handle()': 'aborted',
      'waitFor()': 'ERR_CLOSED',
      'events()': 'EmptyError',
      'an append with a projection': 'ERR_CLOSED',
    })
    assert.is(left, 'EmptyError', 'status$ is complete')
    for (const name of ['plain', 'worker', 'transactional', 'relay'])
      assert.ok(warnings.some((message: string) => message.includes(`"${name}"`) && /gave up/.test(message)))
    const sql = await pgClient()
    const sessions = `select query from pg_stat_activity where application_name like 'meowmx%${schema}'`
    await store.close()
    await until(async () => (await sql.query(sessions)).rows.length === 0, { what: 'its sessions to end' })
    assert.equal((await sql.query(`select from "${schema}".events where category = 'projected'`)).rows, [])

    const again = await openStore({ schema })
    const handled = new Set<string>()
    for (const name of ['plain', 'worker', 'transactional', 'relay', 'deliveries', 'handle'])
      again
        .subscription(name, {
          category: 'c',
          leaseMs: 600_000,
          ...(name === 'relay' ? { maxInFlight: 256 } : {}),
        })
        .process(() => void handled.add(name))
    await until(() => handled.size === 6, { what: 'all to be handled elsewhere, before the leases run out' })
    await again.close()
  })
}

test('a store in memory takes the same options', async () => {
  const store = memoryStore()
  const error = await rejects(store.close({ timeoutMs: -1 }), ValidationError)
  assert.is(error.path, 'options.timeoutMs')
  await store.append({ category: 'c', streamId: '1' }, { type: 'Happened', data: {} })
  await Promise.all([store.close({ timeoutMs: 0 }), store.close()])
  await rejects(store.load({ category: 'c', streamId: '1' }), ClosedError)
})

test.run()
