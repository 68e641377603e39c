// The client of an inline projection: its handler reads and appends through it, and a failure can not be hidden.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AppendResult } from '../src/index.ts'
import { MeowError, ValidationError } from '../src/index.ts'
import { event, of, projecting } from './support/projecting.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, uniqueName } from './support/store.ts'

const { meow, sql, written, noting, data } = await projecting()
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

for (const maxConnections of [1, 10]) {
  test(`a handler appends through its client, to projected categories too; ${maxConnections} connections`, async () => {
    const { name, store } = await noting({ maxConnections })
    const [from, plain] = [uniqueName('from'), uniqueName('plain')]
    store.project(from, async ([first], client) => {
      const { category, streamId } = first!
      await store.append(of(plain, streamId), event('plain'), { client })
      await store.append(of(name, streamId), event(first!.data), { client }).catch((error) => {
        if (first!.data !== 'poison') throw error
      })
      if (first!.data === 3) await store.append({ category, streamId }, event(4), { client }) // the category that it projects, once
    })
    const appends = [1, 2, 3, 'poison'].map((n) => store.append(of(from, `s${n}`), event(n)))
    await Promise.all(appends)
    assert.equal((await data(from)).length, 5)
    assert.equal((await data(plain)).length, 5)
    assert.equal(await written(name), ['1', '2', '3', '4'])
    const cause = (await meow.load(of(from, 's1')))[0]!
    assert.equal((await meow.load(of(plain, 's1')))[0]!.metadata, {
      correlationId: cause.id,
      causationId: cause.id,
    })
  })
}

test('a handler that appends without its client to a projected category gets an error at once', async () => {
  const { name } = await noting()
  const from = uniqueName('from')
  meow.project(from, ([first]) => meow.append(of(name, first!.streamId), event('outside')))
  const error = await rejects(meow.append(of(from), event()), ValidationError)
  assert.is(error.path, 'options.client')
  assert.equal([await data(from), await data(name)], [[], []])
})

test('an empty append of a handler: with its client it returns where the stream is, without it it is refused', async () => {
  const { name, seen } = await noting()
  const from = uniqueName('from')
  const results: AppendResult[] = []
  const paths: string[] = []
  meow.project(from, async ([first], client) => {
    const { category, streamId } = first!
    for (const target of [category, name, uniqueName('plain')]) {
      const writes = [{ stream: of(target, streamId), events: [] }]
      results.push(await meow.append(of(target, streamId), [], { client, expectedVersion: 7 }))
      results.push(...(await meow.appendAll(writes, { client })))
      for (const past of [() => meow.append(of(target, streamId), []), () => meow.appendAll(writes)])
        paths.push((await rejects(past(), ValidationError)).path)
    }
    results.push(...(await meow.appendAll([], { client })))
  })
  const { position } = await meow.append(of(from), event())
  const there = { events: [], version: 0, position }
  const none = { events: [], version: -1, position: 0 }
  assert.equal(
    results.map(({ events, version, position }) => ({ events, version, position })),
    [there, there, none, none, none, none],
  )
  assert.equal(paths, Array(6).fill('options.client'))
  assert.equal([(await data(from)).length, await data(name), seen], [1, [], []])
})

test('a handler reads what exists, including its own events; afterwards its client is refused', async () => {
  const name = uniqueName('reading')
  const loaded: number[] = []
  let kept: pg.ClientBase | undefined
  meow.project(name, async (_, client) => {
    kept = client
    loaded.push((await meow.load(of(name), { client })).length)
  })
  await meow.append(of(name), event())
  await meow.append(of(name), [event(), event()])
  assert.equal(loaded, [1, 3])
  assert.throws(() => kept!.query('select 1'), /the handler has ended/)
})

test('an append fails if a handler hides a failed query or ends the transaction', async () => {
  const bad: [string, (client: pg.ClientBase) => unknown, RegExp][] = [
    ['hides', (client) => client.query('select 1 / 0').catch(() => {}), /kept to itself/],
    ['floats', (client) => void client.query('select 1 / 0').catch(() => {}), /kept to itself/],
    ['rolls back', (client) => client.query('rollback'), /ended the transaction/],
    ['begins another transaction', (client) => client.query('rollback; begin'), /ended the transaction/],
  ]
  for (const [what, handler, message] of bad) {
    const name = uniqueName('bad')
    meow.project(name, (_, client) => handler(client))
    const error = await rejects(meow.append(of(name), event()), MeowError)
    assert.is(error.code, 'ERR_PROJECTION', what)
    assert.match(error.message, message)
    await sql.query('begin')
    const inside = await rejects(meow.append(of(name), event(), { client: sql }), MeowError)
    assert.is(inside.code, 'ERR_PROJECTION', what)
    await sql.query('rollback')
    assert.equal(await data(name), [])
  }
})

test.run()
