import { firstValueFrom, take, toArray } from 'rxjs'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { Decider, EventOf } from '../../src/index.ts'
import { DuplicateEventError, defineCategory, UpcastError, ValidationError } from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import type { Contract } from './contract.ts'

/** The same category as two releases of a program know it. */
function releases() {
  const name = uniqueName('order')
  const V1 = defineCategory(name, {
    Placed: z.object({ price: z.number(), currency: z.string().default('EUR') }),
  })
  const V2 = defineCategory(name, {
    Placed: {
      schema: z.object({ cents: z.number() }),
      version: 2,
      // One that changes what it is given: what is stored stays as it is.
      upcast: { 1: (old) => Object.assign(old, { cents: old.price * 100, price: undefined }) },
    },
  })
  return { name, V1, V2 }
}

export const typing: Contract = (test, store) => {
  test('zod: append checks, fills in, and refuses with the whole path', async () => {
    const { name, V1 } = releases()
    const bad = V1.Placed({ price: 'x' as unknown as number })
    const good = V1.Placed({ price: 9, stranger: 1 } as { price: number })
    const cases: [Promise<unknown>, string][] = [
      [store().append(V1.stream('a'), [good, bad]), 'events[1].data.price'],
      [store().append({ category: name, streamId: 'a' }, bad), 'events.data.price'],
      [store().append(V1.stream('a'), { type: 'Lost', data: {} } as never), 'events.type'],
      [store().appendAll([{ stream: V1.stream('a'), events: bad }]), 'writes[0].events.data.price'],
    ]
    for (const [promise, path] of cases) assert.is((await rejects(promise, ValidationError)).path, path)
    const { events } = await store().append(V1.stream('a'), good)
    assert.equal([events[0]!.data, events[0]!.known], [{ price: 9, currency: 'EUR' }, true])
    const [stored] = await store().load({ category: name, streamId: 'a' })
    assert.equal(
      [stored!.data, stored!.metadata, 'known' in stored!],
      [{ price: 9, currency: 'EUR' }, {}, false],
    )
  })

  test('zod: the error says exactly what is wrong', async () => {
    const Limits = defineCategory(uniqueName('limits'), {
      Set: z.object({
        over: z.number().positive().optional(),
        least: z.number().min(0).optional(),
        under: z.number().lt(9).optional(),
        two: z.array(z.number()).min(2).max(2).optional(),
        some: z.string().min(1).optional(),
      }),
    })
    const cases: [Parameters<typeof Limits.Set>[0], string][] = [
      [{ over: 0 }, 'over must be more than 0, got 0'],
      [{ least: -1 }, 'least must be at least 0, got -1'],
      [{ under: 9 }, 'under must be less than 9, got 9'],
      [{ two: [1] }, 'two must be at least 2 long, got [1]'],
      [{ two: [1, 2, 3] }, 'two must be at most 2 long, got [1,2,3]'],
      [{ some: '' }, 'some must not be empty, got ""'],
    ]
    for (const [data, message] of cases) {
      const error = await rejects(store().append(Limits.stream('a'), Limits.Set(data)), ValidationError)
      assert.is(error.message, `events.data.${message}`)
    }
  })

  test('zod: load, read, events, iterate and decide see events upcast, and unknown ones as such', async () => {
    const { name, V1, V2 } = releases()
    const plain = { category: name, streamId: 'a' }
    await store().append(V1.stream('a'), V1.Placed({ price: 2 }))
    await store().append(V2.stream('a'), V2.Placed({ cents: 50 }))
    await store().append(plain, [
      { type: 'Lost', data: 'why' },
      { type: 'Placed', data: 'odd', metadata: { schemaVersion: 3 } },
    ])
    const seen = await store().load(V2.stream('a'))
    assert.equal(
      seen.map(({ known, data }) => [known, JSON.stringify(data)]),
      [
        [true, '{"currency":"EUR","cents":200}'],
        [true, '{"cents":50}'],
        [false, '"why"'],
        [false, '"odd"'],
      ],
    )
    assert.equal((await store().load(plain))[0]!.data, { price: 2, currency: 'EUR' })
    assert.equal((await store().load(plain))[1]!.metadata, { schemaVersion: 2 })
    assert.equal((await store().read({ category: V2 })).events, seen)
    assert.equal((await store().read({ category: V2 }, { direction: 'backward' })).events, seen.toReversed())
    assert.equal(await firstValueFrom(store().events({ category: V2 }).pipe(take(4), toArray())), seen)
    const pulled: unknown[] = []
    for await (const event of store().iterate({ category: V2 }, { live: false })) pulled.push(event)
    assert.equal(pulled, seen)
    const total: Decider<number, EventOf<typeof V2>, number> = {
      category: V2,
      initial: 0,
      evolve: (sum, event) => (event.known ? sum + event.data.cents : sum),
      decide: (cents) => V2.Placed({ cents }),
    }
    const { state, result } = await store().decide(total, 'a', 7)
    assert.equal([state, result.events[0]!.metadata], [257, { schemaVersion: 2 }])
    assert.is((await firstValueFrom(store().watch(total, 'a'))).state, 257)
    assert.is(
      (await rejects(store().decide(total, 'a', Number.NaN), ValidationError)).path,
      'events.data.cents',
    )
  })

  test('zod: several categories, by name and by schema', async () => {
    const [{ V1 }, { V2 }] = [releases(), releases()]
    const plain = uniqueName('plain')
    await store().append(V1.stream('a'), V1.Placed({ price: 1 }))
    await store().append({ category: plain, streamId: 'a' }, { type: 'Placed', data: 2 })
    await store().append(V2.stream('a'), V2.Placed({ cents: 3 }))
    const { events } = await store().read({ category: [V1, V2, plain] })
    assert.equal(
      events.map(({ known }) => known),
      [true, false, true],
    )
    const twice = store().read({ category: [V1, defineCategory(V1.name, {})] })
    assert.is((await rejects(twice, ValidationError)).path, 'selector.category')
  })

  test('zod: a retry is answered with what was stored; what can not be read is an UpcastError', async () => {
    const { name, V1, V2 } = releases()
    const id = crypto.randomUUID()
    await store().append(V1.stream('a'), V1.Placed({ price: 2 }, { id }))
    const again = await store().append(V1.stream('a'), V1.Placed({ price: 2 }, { id }))
    assert.equal([again.deduplicated, again.events[0]!.known], [true, true])
    await rejects(store().append(V2.stream('a'), V2.Placed({ cents: 200 }, { id })), DuplicateEventError)
    const Checking = defineCategory(
      name,
      { Placed: z.object({ price: z.string() }) },
      { validateOnRead: true },
    )
    const error = await rejects(store().load(Checking.stream('a')), UpcastError)
    assert.equal([error.version, error.type], [0, 'Placed'])
    await rejects(firstValueFrom(store().events({ category: Checking })), UpcastError)
  })
}
