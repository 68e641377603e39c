// An inline projection in a transaction of the caller is committed or rolled back with it.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ValidationError, VersionConflictError } from '../src/index.ts'
import { event, of, projecting } from './support/projecting.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, uniqueName } from './support/store.ts'

const { meow, sql, write, written, noting, data } = await projecting()
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

test('effects follow the transaction of the caller, and a failed append leaves that usable', async () => {
  const { name, seen } = await noting()
  const plain = uniqueName('plain')
  const options = { client: sql }
  await sql.query('begin')
  await write(sql, name, 'mine')
  await meow.append(of(name), event(1), options)
  assert.is((await rejects(meow.append(of(name), event('poison'), options), Error)).message, 'poison')
  await rejects(meow.append(of(name), event(2), { ...options, expectedVersion: 7 }), VersionConflictError)
  await rejects(
    meow.appendAll(
      [
        { stream: of(plain), events: event() },
        { stream: of(name), events: event('poison') },
      ],
      options,
    ),
    Error,
  )
  await meow.append(of(name), [event(3), event(4)], { ...options, expectedVersion: 0 })
  assert.is(seen.length, 4)
  await sql.query('commit')
  assert.equal(await written(name), ['1', '3', '4', 'mine'])
  assert.equal([await data(name), await data(plain)], [[1, 3, 4], []])

  await sql.query('begin')
  await meow.append(of(name), event('undone'), options)
  await sql.query('rollback')
  assert.equal(await written(name), ['1', '3', '4', 'mine'])
  assert.is((await rejects(meow.append(of(name), event(), options), ValidationError)).path, 'options.client')
})

test('concurrent appends in one transaction: if one fails, the others stay', async () => {
  const { name } = await noting()
  const plain = uniqueName('plain')
  await sql.query('begin')
  const results = await Promise.allSettled(
    Array.from({ length: 30 }, (_, n) =>
      meow.append(of(n % 3 ? name : plain, `${n}`), event(n % 4 ? n : 'poison'), { client: sql }),
    ),
  )
  await sql.query('commit')
  const good = results.flatMap((result) => (result.status === 'fulfilled' ? result.value.events : []))
  assert.is(good.length, 25)
  const events = (await meow.read({ category: [name, plain] })).events
  assert.equal(events.map(({ id }) => id).toSorted(), good.map(({ id }) => id).toSorted())
  const noted = good.filter(({ category }) => category === name).map(({ data }) => String(data))
  assert.equal(await written(name), noted.toSorted())
})

test.run()
