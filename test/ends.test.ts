// @direct
// The largest and smallest numbers are exact, or refused with an error of the library before anything is written.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LimitError, type Meow, ValidationError } from '../src/index.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

const schema = uniqueName('ends')
let meow: Meow
let sql: pg.Client
test.before(async () => {
  meow = await openStore({ schema, listen: false })
  sql = await pgClient()
  await sql.query(`set search_path = ${schema}`)
})
test.after(closeAll)

const event = { type: 'T', data: {} }
const moveTo = (position: bigint) => sql.query(`select setval('${schema}.events_position_seq', ${position})`)

for (const [distance, name] of [
  [2n ** 31n + 5n, '2^31'],
  [2n ** 32n - 1_000n, 'nearly 2^32'],
] as const) {
  test(`an open append holds the horizon while the sequence moves by ${name}, and its event is delivered`, async () => {
    const [category, other] = [uniqueName('held'), uniqueName('other')]
    const holder = await pgClient()
    await holder.query(`set search_path = ${schema}; begin`)
    await holder.query(`select append($1, '1', '{"type": "T"}')`, [category])
    const { position } = await meow.append({ category: other, streamId: '1' }, event)
    await moveTo(BigInt(position) + distance)
    const later = await meow.append({ category, streamId: '2' }, event)
    assert.ok((await meow.read({ category })).horizon < position, 'what is open holds it back')
    assert.equal((await meow.read({ category })).events, [])
    await holder.query('commit')
    const { events, horizon } = await meow.read({ category })
    assert.equal(
      events.map(({ streamId }) => streamId),
      ['1', '2'],
    )
    assert.is(horizon, later.position)
    await holder.end()
  })
}

test('an append that continues after the sequence has moved by 2^32 is refused', async () => {
  const category = uniqueName('late')
  const holder = await pgClient()
  await holder.query(`set search_path = ${schema}; begin`)
  await holder.query(`select append($1, '1', '{"type": "T"}')`, [category])
  const { rows } = await sql.query('select last_position() as head')
  await moveTo(BigInt(rows[0].head) + 2n ** 32n)
  const refused = await holder
    .query(`select append($1, '1', '{"type": "T"}')`, [category])
    .catch(({ code }) => code)
  assert.is(refused, 'MW002')
  await holder.query('rollback')
  await holder.end()
})

test('an append to a stream with the highest version is refused with a LimitError', async () => {
  const category = uniqueName('full')
  await sql.query(
    `begin; set local meowmx.maintenance = 'on'; insert into events (version, category, stream_id, type, data)
     values (2147483645, '${category}', '1', 'T', '{}'); commit`,
  )
  const stream = { category, streamId: '1' }
  const refused = async (promise: Promise<unknown>) => {
    const error = await promise.then(
      () => undefined,
      (error) => error,
    )
    assert.ok(error instanceof LimitError, String(error))
    assert.is(error.code, 'ERR_LIMIT')
    assert.match(error.message, /2147483646/)
  }
  await refused(meow.append(stream, [event, event]))
  assert.is((await meow.append(stream, event)).version, 2_147_483_646)
  await refused(meow.append(stream, event))
  await refused(meow.append(stream, event, { client: await inTransaction() }))
  assert.equal(
    (await meow.load(stream)).map(({ version }) => version),
    [2_147_483_645, 2_147_483_646],
    'the last one is read, too',
  )
})

async function inTransaction(): Promise<pg.Client> {
  const client = await pgClient()
  await client.query('begin')
  return client
}

test('in SQL, an invalid expected version is one clear error', async () => {
  for (const expected of ['99999999999', '2147483648', '-2', 'abc', '1.5', '']) {
    const error = await sql.query(`select append('c', 's', '{"type": "T"}', $1)`, [expected]).then(
      () => undefined,
      (error) => error,
    )
    assert.is(error?.code, '22023', expected)
    assert.match(error.message, /the expected version must be/)
  }
})

test('options beyond what is exact are refused with their path', async () => {
  const stream = { category: 'c', streamId: 's' }
  for (const call of [
    () => meow.append(stream, event, { expectedVersion: 2_147_483_648 }),
    () => meow.load(stream, { fromVersion: 2_147_483_648 }),
    () => meow.read({}, { after: 2 ** 53 }),
    () => meow.waitFor('s', 2 ** 53),
  ]) {
    const error = await call().then(
      () => undefined,
      (error) => error,
    )
    assert.ok(error instanceof ValidationError, String(error))
  }
})

test('the last positions are exact, and after them nothing is written', async () => {
  const category = uniqueName('last')
  await moveTo(2n ** 53n - 3n)
  const stream = { category, streamId: '1' }
  const { events } = await meow.append(stream, [event, event])
  assert.equal(
    events.map(({ position }) => position),
    [Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER],
  )
  assert.is((await meow.read({ category })).horizon, Number.MAX_SAFE_INTEGER)
  for (const more of [event, [event, event]]) {
    const error = await meow.append(stream, more).then(
      () => undefined,
      (error) => error,
    )
    assert.ok(error instanceof LimitError, String(error))
    assert.match(error.message, /no position left/)
  }
  assert.is((await meow.load(stream)).length, 2)
})

test.run()
