// @direct
// If the server refuses statements for a while, whatever the error, consumers of every kind try again, log that and show it in
// their status. They end only if a person is needed.
import { firstValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SchemaError, SubscriptionNotFoundError, TimeoutError } from '../src/index.ts'
import { consumersOf } from './support/consumers.ts'
import { keepLog } from './support/log.ts'
import type { Refusal } from './support/refuse.ts'
import { met, refuse } from './support/refuse.ts'
import { rejects } from './support/rejects.ts'
import { current } from './support/status.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const schema = uniqueName('refusals')
const { logged, logger } = keepLog()
const meow = await openStore({ schema, listen: false })
const sql = await pgClient()
const event = { type: 'T', data: {} }
test.after(closeAll)

const reading = ['horizons']
const writing = ['claim', 'advance', 'await_position', 'parked_streams']
const codes = [
  '55P03',
  '53100',
  '53200',
  '53400',
  '54000',
  '58030',
  '55000',
  '55006',
  'XX000',
  '0A000',
  '42501',
  '25P04',
]
// More such errors: out of connections, out of stack, a damaged index, a trigger or a constraint of the user, a deadlock, a
// cancelled query, a failing function in another language, a division by zero, a table that is not found because the role has
// lost the right to use the schema, an unknown code.
const moreCodes = [
  '53000',
  '54001',
  'XX002',
  'P0001',
  '23514',
  '40P01',
  '57014',
  '38000',
  '22012',
  '42P01',
  'ZZ999',
]

test('all consumers go on after the server has refused their statements', async () => {
  const store = await openStore({ schema, listen: false, pollIntervalMs: 100, logger })
  const all = await consumersOf(store, meow)
  await (await all.append()).all()
  for (const code of [...codes, ...moreCodes])
    for (const names of [reading, writing]) {
      logged.length = 0
      const refusal = await refuse(sql, schema, names, code)
      const appended = await all.append()
      const waiting = store.waitFor(`${all.category}_plain`, appended.position, { timeoutMs: 60_000 })
      waiting.catch(() => {})
      await met(refusal, 4, `${code} to be met`)
      const failing = all.statuses.map((status$) =>
        until(() => current(status$).state === 'failing', { what: `the status to show ${code}` }),
      )
      await Promise.all(failing)
      for (const status$ of all.statuses) {
        const { error, since } = current(status$)
        assert.ok(since instanceof Date)
        assert.match(String((error as Error).message), /not now/)
      }
      const { error, retryingSince } = current(store.status$)
      assert.match(String((error as Error)?.message), /not now/)
      assert.ok(retryingSince! <= new Date())
      await refusal.end()
      await appended.all()
      await waiting
      assert.equal(all.ended, [], code)
      await until(
        () =>
          all.statuses.every((status$) => current(status$).state !== 'failing') &&
          !current(store.status$).error,
        { what: 'the status to show that it is over', timeoutMs: 30_000 },
      )
      const words = logged.filter(({ text }) => text.includes('trying again'))
      const level = code === '40P01' ? 'warn' : 'error'
      const tries = await refusal.tries()
      assert.ok(
        words.some((word) => word.level === level),
        `${code} is not logged: ${JSON.stringify(logged)}`,
      )
      assert.ok(words.length < tries, 'not once for each try')
      assert.ok(
        logged.some(({ level, text }) => level === 'info' && text.includes('again')),
        `that ${code} is over is not logged`,
      )
    }
  await all.stop()
  await store.close()
})

test('a worker, an Observable and an iteration that start while the server refuses go on afterwards', async () => {
  const category = uniqueName('start')
  const { position } = await meow.append({ category, streamId: 'a' }, event)
  for (const code of ['54000', '53200', '55P03']) {
    const store = await openStore({ schema, listen: false, pollIntervalMs: 100, logger })
    const refusal = await refuse(sql, schema, ['subscribe', 'claim', 'horizons', 'channel'], code)
    const handled: number[] = []
    const workers = [false, true].map((transactional) =>
      store
        .subscription(uniqueName('start'), { category })
        .process((event) => void handled.push(event.position), { transactional }),
    )
    const first = firstValueFrom(store.events({ category }))
    await met(refusal, 4, code)
    await refusal.end()
    await Promise.all(workers.map(({ ready }) => ready))
    assert.is((await first).position, position)
    await until(() => handled.length === 2, { what: 'both workers to handle the event' })
    await store.close()
  }
})

test('an error that needs a person ends them', async () => {
  const store = await openStore({ schema, listen: false, pollIntervalMs: 100, logger })
  const deleted = uniqueName('deleted')
  const worker = store.subscription(deleted, { category: deleted, leaseMs: 900 }).process(() => {})
  await worker.ready
  await meow.deleteSubscription(deleted)
  await rejects(worker.done, SubscriptionNotFoundError)
  const refusal = await refuse(sql, schema, ['horizons'], 'MW013')
  const ended = await Promise.allSettled([
    firstValueFrom(store.events({ category: deleted })),
    (async () => {
      for await (const _ of store.iterate({ category: deleted })) break
    })(),
  ]).finally(() => refusal.end())
  for (const outcome of ended) assert.instance((outcome as PromiseRejectedResult).reason, SchemaError)
  await store.close()
})

test('a call of the user fails at once, with the error of the server', async () => {
  const category = uniqueName('once')
  let refusal: Refusal | undefined
  try {
    refusal = await refuse(sql, schema, ['append_one', 'horizons'], '53100')
    for (const call of [
      () => meow.append({ category, streamId: 'a' }, event),
      () => meow.read({ category }),
    ]) {
      assert.is(((await rejects(call(), Error)) as { code?: string }).code, '53100')
      assert.ok((await refusal.tries()) <= 2, 'once each')
    }
  } finally {
    await refusal?.end()
  }
})

test('a timeout of waitFor() has the error of the server as its cause', async () => {
  const name = uniqueName('vain')
  const worker = meow.subscription(name, { category: name }).process(() => {})
  await worker.ready
  const { position } = await meow.append({ category: name, streamId: 'a' }, event)
  await worker.stop()
  const refusal = await refuse(sql, schema, ['await_position', 'waiting_channel'], '53100')
  const error = await rejects(meow.waitFor(name, position + 1, { timeoutMs: 1_000 }), TimeoutError).finally(
    () => refusal.end(),
  )
  assert.match(String((error.cause as Error)?.message), /not now/)
})

test('an error that a handler throws is never taken for one of the server', async () => {
  const category = uniqueName('own')
  await meow.append({ category, streamId: 'a' }, event)
  const store = await openStore({ schema, listen: false, pollIntervalMs: 100, logger })
  for (const transactional of [false, true]) {
    const name = uniqueName('own')
    let calls = 0
    const worker = store.subscription(name, { category }).process(
      () => {
        calls++
        throw Object.assign(new Error('as if'), { code: '53100', severity: 'FATAL' })
      },
      { transactional, retry: { maxAttempts: 2, minDelayMs: 0, maxDelayMs: 0 } },
    )
    await worker.ready
    await until(async () => (await meow.parked(name))[0]?.attempts === 2, { what: 'the event to be parked' })
    assert.is(calls, 2)
    await worker.stop()
  }
  await store.close()
})

test.run()
