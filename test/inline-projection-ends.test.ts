// An inline projection that does not finish fails its own append only, and close() waits for running handlers.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { ClosedError, TimeoutError, withMetadata } from '../src/index.ts'
import { gate } from './support/gate.ts'
import { event, of, projecting } from './support/projecting.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const { meow, sql, notes, write, written, noting, data } = await projecting()
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

test('a handler that hangs fails after queryTimeoutMs, and no other append waits for it', async () => {
  const { store, name: slow } = await noting({ queryTimeoutMs: 1_000 })
  const [stuck, plain] = [uniqueName('stuck'), uniqueName('plain')]
  let hung = 0
  store.project(stuck, async (_, client) => {
    hung++
    await write(client, stuck, 'gone')
    await new Promise(() => {})
  })
  const late = Array.from({ length: 6 }, (_, n) => store.append(of(stuck, `${n}`), event()))
  const outcomes = Promise.all(late.map((append) => rejects(append, TimeoutError)))
  await until(() => hung >= 4, { what: 'each connection to hang' })
  await store.append(of(plain), event()) // on connections of its own
  assert.match((await outcomes)[0]!.message, /an inline projection took longer than 1000 ms/)
  await store.append(of(slow), event('then'))
  assert.equal(
    [await data(stuck), await written(stuck), await written(slow), await data(plain)],
    [[], [], ['then'], [{}]],
  )
})

test('if a query of a handler hangs, the append fails and its transaction ends', async () => {
  const { store } = await noting({ queryTimeoutMs: 1_000 })
  const name = uniqueName('waiting')
  await sql.query(`begin; lock table ${notes}`)
  store.project(name, (_, client) => write(client, name, 'late'))
  await rejects(store.append(of(name), event()), Error)
  await sql.query('rollback')
  await until(async () => (await meow.stallers()).every(({ category }) => category !== name), {
    what: 'the transaction to end',
  })
  assert.equal([await data(name), await written(name)], [[], []])
  await store.append(of(name), event())
  assert.equal(await written(name), ['late'])
})

test('a handler runs in the async context of its append, whichever append it shares a batch with', async () => {
  const name = uniqueName('context')
  const storage = new AsyncLocalStorage<number>()
  const seen: [unknown, unknown][] = []
  meow.project(name, async ([first], client) => {
    const { events } = await meow.append(of(`${name} effect`), event(), { client })
    seen.push([first!.data, storage.getStore()])
    assert.is(events[0]!.metadata.correlationId, `c${first!.data}`)
  })
  await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      storage.run(n, () =>
        withMetadata({ correlationId: `c${n}` }, () => meow.append(of(name, `s${n % 3}`), event(n))),
      ),
    ),
  )
  assert.is(seen.length, 20)
  for (const [data, context] of seen) assert.is(context, data)
})

test('close() waits for handlers and for what they append', async () => {
  const store: Meow = await openStore({ listen: false })
  const [name, effect] = [uniqueName('closing'), uniqueName('effect')]
  const { opened, open } = gate()
  let begun = 0
  store.project(name, async (_, client) => {
    begun++
    await opened
    await write(client, name, 'x')
    await store.append(of(effect), event(), { client })
  })
  const appends = [store.append(of(name, '1'), event()), store.append(of(name, '2'), event())]
  await sql.query('begin')
  const inside = store.append(of(name, '3'), event(), { client: sql })
  await until(() => begun === 3, { what: 'the handlers to begin' })
  let closed = false
  const closing = store.close().then(() => {
    closed = true
  })
  await rejects(store.append(of(name), event()), ClosedError)
  await delay(1)
  assert.is(closed, false)
  open()
  // The effects go to one stream, and the caller's transaction is the last to end.
  await until(() => inside.then(() => true), { what: 'the append inside' }).catch(() => {})
  await sql.query('commit')
  await Promise.all([...appends, closing])
  assert.equal(await written(name), ['x', 'x', 'x'])
  assert.is((await data(effect)).length, 3)
})

test.run()
