// Names of any characters, as category, stream, type and subscription: appended, read, pushed, handled, parked, replayed
// and managed like any other, and never confused with each other, with SQL or with a property of JavaScript objects.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ValidationError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { rejects } from './support/rejects.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema } from './support/store.ts'
import { until } from './support/until.ts'

const words =
  `error __proto__ constructor prototype toString hasOwnProperty then null NULL undefined NaN true 0 -1 1e3
  * # . .. a.b a/b a,b (a,b) {a,b} {} [] "" "a" '' ' \\N \\ \\\\ \\x00 \\u0000 $1 $2::text $$ $& % %s %I %% ? : :a @ ; --
  /* */ pg_temp select meowmx meowmx.events {{event}} 🐈 🐈‍⬛ مرحبا \u202e \ufeff \u0001 \u007f \u00a0`.split(
    /[ \n]+/,
  )
const long = ['x'.repeat(62), 'x'.repeat(63), 'x'.repeat(64), `${'x'.repeat(64)}a`, `${'x'.repeat(64)}b`]
const names = [
  ...words,
  ...long,
  ...long.map((name) => name.replaceAll('x', 'é')),
  `${'x'.repeat(63 - storeSchema.length - 1)}`, // its channel has 63 bytes
  `${'x'.repeat(64 - storeSchema.length - 1)}`,
  'x'.repeat(255),
  '🐈'.repeat(255),
  ' ',
  ' order ',
  'Order',
  'new\nline',
  'tab\tand\rreturn',
  'caf\u00e9', // composed
  'cafe\u0301', // decomposed: another name
  `'; drop table ${storeSchema}.events; --`,
  `"; notify "${storeSchema}"; --`,
  `order', 'x'); select pg_sleep(10); --`,
  `{"r":1,"n":0,"i":"x"}`,
]

/** The same as a type; those that begin with $ are reserved. */
const typeOf = (name: string): string => (name.startsWith('$') ? `_${name}` : name)
// So few polls that what arrives was pushed.
const meow = await openStore({ pollIntervalMs: 600_000 })
const sql = await pgClient()
test.after(closeAll)

test('none is heard for another: each observer gets its own event, by push', async () => {
  assert.is(new Set(names).size, names.length)
  await listening(meow)
  const observers = names.map((name) => collect(meow.events({ category: name })))
  const everything = collect(meow.events({}))
  const results = await Promise.all(
    names.map((name) =>
      meow.append(
        { category: name, streamId: name },
        { type: typeOf(name), data: { [name]: name }, metadata: { [name]: 1 } },
      ),
    ),
  )
  await everything.has(names.length, 30_000)
  for (const [i, { all, has, subscription }] of observers.entries()) {
    await has(1, 30_000)
    subscription.unsubscribe()
    assert.equal(all, results[i]!.events, JSON.stringify(names[i]))
  }
  everything.subscription.unsubscribe()
  const { rows } = await sql.query(
    `select count(distinct channel)::int as channels, max(octet_length(channel)) as longest
     from (select ${storeSchema}.channel(name) from unnest($1::text[]) as name) as _`,
    [names],
  )
  assert.equal(rows, [{ channels: names.length, longest: 63 }])
})

for (const name of names) {
  const shown = JSON.stringify(
    name.length > 40 ? `${name.slice(0, 40)}… (${Buffer.byteLength(name)} bytes)` : name,
  )
  test(`from append to delete: ${shown}`, async () => {
    const stream = { category: name, streamId: name }
    const before = await meow.load(stream)
    const written = await meow.append(stream, { type: typeOf(name), data: name, metadata: { [name]: name } })
    const all = [...before, ...written.events]
    const [event] = written.events
    assert.equal(
      [event!.category, event!.streamId, event!.type, event!.data],
      [name, name, typeOf(name), name],
    )
    assert.equal(Object.entries(event!.metadata), [[name, name]])
    assert.equal(await meow.load(stream), all)
    for (const selector of [
      { category: name },
      { category: [name, 'no'], types: [typeOf(name)] },
      { ...stream, types: [typeOf(name)] },
    ])
      assert.equal((await meow.read(selector)).events, all)
    assert.is((await meow.categories()).filter(({ category }) => category === name).length, 1)
    const conflict = await meow
      .append(stream, { type: typeOf(name), data: 1 }, { expectedVersion: 7 })
      .catch((error) => error)
    assert.ok(conflict.message.includes(`"${name}/${name}"`), conflict.message)

    let good = false
    const handled: unknown[] = []
    const worker = meow.subscription(name, { ...stream, types: [typeOf(name)] }).process(
      (event) => {
        if (!good) throw new Error(name)
        handled.push(event)
      },
      { retry: { maxAttempts: 1 } },
    )
    await worker.ready
    await meow.waitFor(name, written.position, { timeoutMs: 30_000 })
    const parked = await meow.parked(name)
    assert.equal(
      parked.map((one) => one.event),
      all,
    )
    assert.ok(parked[0]!.error!.startsWith(`Error: ${name}\n`), parked[0]!.error!)
    good = true
    assert.is(await meow.replayParked(name, { streamId: name }), all.length)
    await until(() => handled.length === all.length, { what: 'the replay' })
    assert.equal(handled, all)
    await worker.stop()
    const info = (await meow.subscriptions()).find((one) => one.name === name)!
    assert.equal(info.selector, { ...stream, types: [typeOf(name)] })
    await meow.alterSubscription(name, { types: [name, 'Other'] })
    await meow.resetSubscription(name, 'end')
    await meow.deleteSubscription(name)
    const gone = await meow.parked(name).catch((error) => error)
    assert.equal([gone.code, gone.subscription], ['ERR_SUBSCRIPTION_NOT_FOUND', name])
  })
}

test('schemas that PostgreSQL would cut to the same 63 bytes are refused, and so are names that it can not hold', async () => {
  for (const schema of ['x'.repeat(64), 'é'.repeat(32), 'a\u0000b', '\ud800', '']) {
    assert.is((await rejects(openStore({ schema }), ValidationError)).path, 'options.schema')
  }
})

test('all is where it was', async () => {
  const { rows } = await sql.query(
    `select count(*)::int as n from ${storeSchema}.events where category = any ($1)`,
    [names],
  )
  assert.is(rows[0].n, 2 * names.length)
  assert.equal(Object.keys(Object.prototype), [])
})

test.run()
