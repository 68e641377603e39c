// Any object with query(text, values) can be the client of a transaction, whatever types it returns; a wrong answer is an error
// at once, and there is a time limit.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as adapters from '../src/adapters/index.ts'
import type { SqlClient } from '../src/index.ts'
import { TimeoutError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

const TIME_MS = 300
const meow = await openStore({ listen: false })
const hasty = await openStore({ listen: false, queryTimeoutMs: TIME_MS })
const client = await pgClient()
test.after.each(() => client.query('rollback').then(() => {}))
test.after(closeAll)

const event = { type: 'T', data: { price: 9 } }
const newStream = () => ({ category: uniqueName('sql'), streamId: 'a' })

/** A type parser for everything but text, as of a library with types of its own. */
const strange = (oid: number) => (text: string) => (oid === 25 ? text : { oid, text })

test('one that makes something else of every type but text', async () => {
  const stream = newStream()
  const sent: unknown[] = []
  const odd: SqlClient = {
    query(text, values) {
      sent.push(...values)
      return client.query({ text, values, types: { getTypeParser: strange as never } })
    },
  }
  await client.query('begin')
  const { events } = await meow.append(stream, [event, event], { client: odd })
  await meow.append(stream, event, { client: odd, expectedVersion: 1 })
  assert.equal((await meow.load(stream, { client: odd })).slice(0, 2), events)
  assert.is((await meow.read({}, { client: odd, limit: 1 })).events.length <= 1, true)
  await client.query('commit')
  assert.is((await meow.load(stream)).length, 3)
  assert.ok(sent.every((value) => value === null || typeof value === 'string'))
})

test('the name of the schema may be anything', async () => {
  const hostile = await openStore({ listen: false, schema: uniqueName('a--b $1 ? "c" \'d') })
  const stream = newStream()
  const plain: SqlClient = { query: (text, values) => client.query(text, values) }
  await client.query('begin')
  await hostile.append(stream, event, { client: plain })
  assert.is((await hostile.load(stream, { client: plain })).length, 1)
})

test('an append of several megabytes', async () => {
  const stream = newStream()
  const plain: SqlClient = { query: (text, values) => client.query(text, values) }
  const data = 'x'.repeat(1_500_000)
  await client.query('begin')
  await meow.append(stream, [event, { type: 'T', data }], { client: plain })
  assert.is((await meow.load(stream, { client: plain }))[1]!.data, data)
})

for (const answer of [undefined, null, [], [{ c1: '(appended,0,1,1)' }], {}, { rows: 1 }])
  test(`one that answers ${JSON.stringify(answer)} is refused`, async () => {
    const wrong = { query: async () => answer } as never
    for (const call of [
      meow.append(newStream(), event, { client: wrong }),
      meow.append(newStream(), [event, event], { client: wrong }),
      meow.load(newStream(), { client: wrong }),
      meow.eraseStream(newStream(), { client: wrong }),
    ]) {
      const error = await rejects(call, ValidationError)
      assert.is(error.path, 'options.client')
      assert.match(error.message, /query\(text, values\) that resolves with \{ rows \}/)
    }
  })

test('one that never answers', async () => {
  const silent: SqlClient = { query: () => new Promise(() => {}) }
  await rejects(hasty.append(newStream(), event, { client: silent }), TimeoutError)
  await rejects(hasty.load(newStream(), { client: silent }), TimeoutError)
  await rejects(hasty.eraseStream(newStream(), { client: silent }), TimeoutError)
})

test('one without a transaction is refused by what needs one', async () => {
  const plain: SqlClient = { query: (text, values) => client.query(text, values) }
  const error = await rejects(meow.eraseStream(newStream(), { client: plain }), ValidationError)
  assert.match(error.message, /must have an open transaction/)
})

const pool = new pg.Pool() // never connected
const makers = Object.entries(adapters as unknown as Record<string, (tx: unknown) => SqlClient>)
for (const [name, from] of makers)
  test(`${name} refuses anything but a transaction`, async () => {
    for (const tx of [undefined, null, 7, 'tx', {}, [], () => {}, pool, client, Promise.resolve()]) {
      const error = await rejects(
        Promise.resolve().then(() => from(tx)),
        ValidationError,
      )
      assert.is(error.path, 'tx')
      assert.match(error.message, /^tx must be (what|the manager)/)
    }
  })

test('there is a function for each of six libraries', () => assert.is(makers.length, 6))

test.run()
