// Appends with other tags or without any never wait for a conditional append, nor do they make it fail; 32 callers on 10 tags get no
// error but ConditionFailedError; in callers' own transactions a deadlock says what to do.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConditionFailedError, MeowError } from '../src/index.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

test.after(closeAll)

const event = (...tags: string[]) => ({ type: 'A', data: {}, tags })
const on = (...tags: string[]) => ({ failIf: { query: { tags: tags as [string] } } })
const stream = (category: string, streamId: string) => ({ category, streamId })

test('while a condition is open, other tags and appends without tags go on', async () => {
  const meow = await openStore()
  const category = uniqueName('w')
  const tag = uniqueName('t')
  const [one, other] = [await pgClient(), await pgClient()]
  await one.query('begin')
  await meow.append(stream(category, '1'), event(tag), { client: one, ...on(tag) })
  // More than there are slots, so that none would be left if these took the slots of others.
  const waiting = Array.from({ length: 8 }, (_, i) => meow.append(stream(category, `w${i}`), event(tag)))
  const own = uniqueName('t')
  await meow.append(stream(category, 'same tick'), event(own)) // in one batch with those
  await meow.append(stream(category, 'same tick'), event(own), {
    failIf: { query: { tags: [own] }, after: (await meow.query({ tags: [own] })).seen },
  })
  await meow.append(stream(category, '2'), { type: 'A', data: {} })
  await meow.append(stream(category, '3'), event(uniqueName('t')), on(uniqueName('t')))
  await other.query('begin')
  await meow.append(stream(category, '4'), event(uniqueName('t')), { client: other, ...on(uniqueName('t')) })
  await other.query('commit')
  assert.is((await meow.query({ tags: [tag] })).events.length, 0)
  await one.query('commit')
  await Promise.all(waiting)
  assert.is((await meow.query({ tags: [tag] })).events.length, 9)
})

test('32 callers on 10 tags: no error but ConditionFailedError', async () => {
  const stores = await Promise.all(Array.from({ length: 4 }, () => openStore({ listen: false })))
  const category = uniqueName('w')
  const tags = Array.from({ length: 10 }, () => uniqueName('t'))
  const start = Date.now()
  const isEnough = () => {
    const took = Date.now() - start
    return took > 60_000 || (took > 3_000 && accepted > 100 && failed > 20)
  }
  const pick = () => tags[Math.floor(Math.random() * tags.length)]!
  let [accepted, failed, n] = [0, 0, 0]
  const caller = async (i: number) => {
    const meow = stores[i % stores.length]!
    while (!isEnough()) {
      const query = Array.from({ length: 1 + (i % 3) }, () => ({ tags: [pick()] as [string] }))
      const { seen } = await meow.query(query)
      const written = [pick(), pick()]
      await meow
        .append(
          stream(category, `${n++ % 50}`),
          event(...written),
          i % 4 === 0 ? {} : { failIf: { query, after: seen } },
        )
        .then(
          () => accepted++,
          (error) => {
            if (!(error instanceof ConditionFailedError)) throw error
            failed++
          },
        )
    }
  }
  await Promise.all(Array.from({ length: 32 }, (_, i) => caller(i)))
  assert.ok(accepted > 100 && failed > 20, `${accepted} accepted, ${failed} failed`)
})

test("a deadlock of two callers' transactions rejects with what to do", async () => {
  const meow = await openStore()
  const category = uniqueName('w')
  const [a, b] = [uniqueName('a'), uniqueName('b')]
  const [one, two] = [await pgClient(), await pgClient()]
  for (const client of [one, two])
    await client
      .query(`begin; set local deadlock_timeout = '50ms'`)
      .catch(() => client.query('rollback; begin'))
  await meow.append(stream(category, '1'), event(a), { client: one })
  await meow.append(stream(category, '2'), event(b), { client: two })
  const results = await Promise.allSettled([
    meow.append(stream(category, '3'), event(), { client: one, ...on(b) }),
    meow
      .append(stream(category, '4'), event(), { client: two, ...on(a) })
      .finally(() => two.query('rollback')),
  ])
  const refused = results.filter((result) => result.status === 'rejected')
  assert.is(refused.length, 1)
  assert.instance(refused[0]!.reason, MeowError)
  assert.is(refused[0]!.reason.code, 'ERR_TAG_DEADLOCK')
  await one.query('rollback')
})

test.run()
