// What readers get after an erasure: with typed categories, subscriptions, inline projections and push.
import { filter, firstValueFrom, take, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { defineCategory } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { customer, named } from './support/customer.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const meow = await openStore()
const sql = await pgClient()
const rival = await pgClient()
test.after.each(async () => {
  await Promise.all([sql.query('rollback'), rival.query('rollback')]) // what a failed test left open
})
test.after(closeAll)

function categories() {
  const category = uniqueName('customer')
  const upcast = { 1: (old: { name: string }) => ({ names: old.name.split(' ') }) } // throws for {}
  const schema = z.object({ names: z.array(z.string()) })
  return {
    category,
    Old: defineCategory(category, { Named: z.object({ name: z.string() }) }),
    New: defineCategory(category, { Named: { schema, version: 2, upcast } }, { validateOnRead: true }),
  }
}

test('in a zod category, emptied events are unknown: they are neither upcast nor validated', async () => {
  const { category, Old, New } = categories()
  const stream = New.stream('42')
  await meow.append(Old.stream('42'), Old.Named({ name: 'Ada Lovelace' }))
  await meow.append(stream, New.Named({ names: ['Ada'] }))
  const decider = {
    category: New,
    initial: [] as string[],
    evolve: (state: string[], event: any) =>
      event.type === '$erased' ? [] : event.known ? event.data.names : state,
    decide: (name: string) => New.Named({ names: [name] }),
    snapshotEvery: 2,
  }
  const watched = collect(meow.watch(decider, '42'))
  await watched.has(1)
  await meow.eraseStream(stream)
  await watched.has(2)
  assert.equal(watched.all, [
    { state: ['Ada'], version: 1 },
    { state: [], version: 2 },
  ])
  const seen = await meow.load(stream)
  assert.equal(
    seen.map(({ known, type, data }) => [known, type, data]),
    [
      [false, 'Named', {}],
      [false, 'Named', {}],
      [false, '$erased', { events: 2 }],
    ],
  )
  const live = meow.events({ category: New }).pipe(take(3), toArray())
  assert.equal([(await meow.read({ category: New })).events, await firstValueFrom(live)], [seen, seen])
  assert.equal(await meow.state(decider, '42'), { state: [], version: 2 })
  assert.equal(await firstValueFrom(meow.watch({ ...decider }, '42')), { state: [], version: 2 })
  assert.equal((await meow.decide(decider, '42', 'Bea')).state, ['Bea'])
  watched.subscription.unsubscribe()

  const erased = z.object({ events: z.number(), reason: z.string().optional() })
  const Aware = defineCategory(category, { Named: z.object({ name: z.string() }), $erased: erased })
  assert.equal(
    (await meow.load(Aware.stream('42'))).map(({ known }) => known),
    [false, false, true, false],
  )
})

test('subscriptions go on at their checkpoints; later ones get the emptied events, then the tombstone', async () => {
  const stream = customer()
  const { category } = stream
  const handled: Record<string, string[]> = {}
  const consume = (name: string, types?: string[]) =>
    meow.subscription(name, { category, ...(types ? { types } : {}) }).process(({ type, data }) => {
      handled[name] ??= []
      handled[name].push(`${type} ${data.name ?? data.events ?? '-'}`)
    })
  const [early, late, erasures] = [uniqueName('early'), uniqueName('late'), uniqueName('erasures')]
  const worker = consume(early)
  const { position } = await meow.append(stream, named())
  await worker.ready
  await meow.waitFor(early, position, { timeoutMs: 30_000 })
  const { tombstone } = await meow.eraseStream(stream)
  await meow.waitFor(early, tombstone!.position, { timeoutMs: 30_000 })
  // All of them share a tail that has the event in memory.
  const workers = [worker, consume(late), consume(erasures, ['$erased'])]
  for (const { ready } of workers) await ready
  for (const name of [early, late, erasures])
    await meow.waitFor(name, tombstone!.position, { timeoutMs: 30_000 })
  assert.equal(handled, {
    [early]: ['Named Ada', '$erased 1'],
    [late]: ['Named -', '$erased 1'],
    [erasures]: ['$erased 1'],
  })
  for (const one of workers) await one.stop()
})

test('an inline projection gets the tombstone, in the same transaction', async () => {
  const store = await openStore({ listen: false })
  const stream = customer()
  const table = `${storeSchema}.${stream.category}`
  await sql.query(`create table ${table} (id text, name text)`)
  let broken = true
  store.project(stream.category, async (events, client) => {
    for (const { type, streamId, data } of events) {
      if (type === 'Named') await client.query(`insert into ${table} values ($1, $2)`, [streamId, data.name])
      if (type === '$erased') await client.query(`delete from ${table} where id = $1`, [streamId])
      if (type === '$erased' && broken) throw new Error('broken')
    }
  })
  const rows = async () => (await rival.query(`select name from ${table}`)).rows
  const { events } = await store.append(stream, named())
  assert.is((await rejects(store.eraseStream(stream), Error)).message, 'broken')
  await sql.query('begin')
  assert.is((await rejects(store.eraseStream(stream, { client: sql }), Error)).message, 'broken')
  await sql.query('commit')
  assert.equal([await rows(), await store.load(stream)], [[{ name: 'Ada' }], events])
  broken = false
  assert.is((await store.eraseStream(stream)).events, 1)
  assert.equal(await rows(), [])
})

test('the tombstone is pushed like any event', async () => {
  const stream = customer()
  await meow.append(stream, named())
  const pushed = firstValueFrom(meow.events(stream).pipe(filter(({ type }) => type === '$erased')))
  const { tombstone } = await meow.eraseStream(stream)
  assert.equal(await pushed, tombstone)
})

test.run()
