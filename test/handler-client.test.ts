// transactional: the client of a handler works only while the handler runs, and a failed query fails its handler.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Handler } from '../src/index.ts'
import { ValidationError } from '../src/index.ts'
import { soon } from './support/own-subscription.ts'
import { closeAll } from './support/store.ts'
import { openTransactional } from './support/transactional.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const { meow, given } = await openTransactional()
test.after(closeAll)

test('concurrency above 1 is refused, and the error names partitions as the alternative', async () => {
  const { subscribe } = await given()
  try {
    subscribe().process(() => {}, { transactional: true, concurrency: 2 })
    assert.unreachable()
  } catch (error) {
    assert.instance(error, ValidationError)
    assert.is((error as ValidationError).path, 'options.concurrency')
    assert.match((error as Error).message, /partitions/)
  }
  for (const batchSize of [0, 1.5, -1])
    assert.throws(() => subscribe().process(() => {}, { transactional: true, batchSize }), /batchSize/)
})

test('a handler can not end or release its client, nor use it after the handler has ended', async () => {
  const { append, process, write, written, hasWritten } = await given()
  const clients: pg.ClientBase[] = []
  await append('a', 2)
  const worker = process(async (event, { client }) => {
    clients.push(client)
    assert.is((client as pg.PoolClient).release, undefined)
    const { rows } = await client.query('select $1::int + 1 as sum', [event.version])
    assert.is(rows[0].sum, event.version + 1)
    assert.is(client.escapeIdentifier('a"b'), '"a""b"')
    await write(event, client)
  })
  await hasWritten(2)
  assert.is(clients.length, 2)
  for (const client of clients) {
    let error: any
    try {
      await client.query('select 1')
    } catch (caught) {
      error = caught
    }
    assert.match(error?.message ?? 'nothing', /handler has ended/)
  }
  await append('a')
  await hasWritten(3)
  await worker.stop()
  assert.equal(await written(), ['a0', 'a1', 'a2'])
})

test('without transactional a handler gets no client', async () => {
  const { append, subscribe } = await given()
  await append('a')
  let context: object | undefined
  const handler: Handler = (_, it) => {
    context = it
  }
  const worker = subscribe().process(handler)
  await until(() => context, { what: 'the handler' })
  assert.equal(Object.keys(context!).sort(), ['attempt', 'signal'])
  await worker.stop()
})

test('if a query fails that the handler does not await, the handler has failed', async () => {
  for (const position of ['first', 'last'] as const) {
    const { name, append, process, write, written, parked } = await given()
    const batch = position === 'last' ? ['good', 'bad'] : ['bad', 'good']
    for (const stream of batch) await append(stream)
    let worker = process(
      async (event, { client }) => {
        await write(event, client)
        if (event.streamId === 'bad') client.query('select 1 / 0').catch(() => {})
      },
      { retry: { ...soon, maxAttempts: 2 } },
    )
    const outcome = await Promise.race([
      worker.done.then(
        () => 'ended',
        (error) => `the worker ended: ${error}`,
      ),
      until(async () => (await parked())[0]?.attempts === 2, {
        what: 'the bad event to be parked',
      }),
    ])
    assert.is(outcome, true)
    await until(async () => (await written()).length === 1, { what: 'the other event' })
    assert.equal(await written(), ['good0'])
    await worker.stop()
    await meow.replayParked(name)
    worker = process((event, { client }) => write(event, client))
    await until(async () => (await written()).length === 2, { what: 'the replay' })
    await worker.stop()
  }
})

test('a query that the handler does not await is part of the transaction', async () => {
  const { append, process, write, written, hasWritten } = await given()
  await append('a', 5)
  const worker = process((event, { client }) => void write(event, client))
  await hasWritten(5)
  await worker.stop()
  assert.equal(
    await written(),
    upTo(5).map((n) => `a${n}`),
  )
})

test('a handler that catches the error of a failed query and goes on has failed too', async () => {
  const { append, process, write, written, parked } = await given()
  await append('a')
  await append('b')
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (event.streamId === 'a') await client.query('select 1 / 0').catch(() => {})
    },
    { retry: { ...soon, maxAttempts: 1 } },
  )
  await until(async () => (await parked()).length === 1, { what: 'a to be parked' })
  await until(async () => (await written()).length === 1, { what: 'b' })
  assert.equal(await written(), ['b0'])
  await worker.stop()
})

test.run()
