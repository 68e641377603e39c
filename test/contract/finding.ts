import { randomUUID } from 'node:crypto'
import * as assert from 'uvu/assert'
import { causedBy, ValidationError } from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import type { Contract } from './contract.ts'

export const finding: Contract = (test, store) => {
  test('head: the version of the last event of that stream; -1 without one', async () => {
    const stream = { category: uniqueName('head'), streamId: 'a' }
    assert.is(await store().head(stream), -1)
    for (const [events, version] of [
      [1, 0],
      [3, 3],
    ] as const) {
      await store().append(
        stream,
        Array.from({ length: events }, () => ({ type: 'T', data: 1 })),
      )
      assert.is(await store().head(stream), version)
    }
    assert.is(await store().head({ ...stream, streamId: 'b' }), -1)
    assert.is(
      (await rejects(store().head({ category: 'a' } as never), ValidationError)).path,
      'stream.streamId',
    )
  })

  test('streams: those of the category by bytes, with prefix, after and limit; page by page all of them', async () => {
    const category = uniqueName('streams')
    // 'a😀' comes after 'a\uffff' by bytes, and before it by UTF-16.
    const ids = ['b', 'a', 'a😀', 'a\uffff', 'ab', 'A', 'a%', 'a_']
    const expected = []
    for (const [i, streamId] of ids.entries()) {
      const events = Array.from({ length: 1 + (i % 3) }, () => ({ type: 'T', data: i }))
      const { version, position } = await store().append({ category, streamId }, events)
      expected.push({ streamId, version, lastPosition: position })
    }
    await store().append({ category: `${category}_`, streamId: 'ac' }, { type: 'T', data: 1 })
    expected.sort((a, b) => Buffer.compare(Buffer.from(a.streamId), Buffer.from(b.streamId)))
    assert.equal(await store().streams(category), expected)
    const a = expected.filter(({ streamId }) => streamId.startsWith('a'))
    assert.equal(await store().streams(category, { prefix: 'a' }), a)
    assert.equal(await store().streams(category, { prefix: 'a', after: 'ab', limit: 1 }), a.slice(4, 5))
    assert.equal(await store().streams(category, { prefix: 'a', after: 'A' }), a)
    assert.equal(await store().streams(category, { prefix: 'a', after: 'b' }), [])
    assert.equal(await store().streams(category, { prefix: 'none' }), [])
    assert.equal(await store().streams(uniqueName('none')), [])
    const paged = []
    for (let after = ''; ; ) {
      const page = await store().streams(category, { limit: 3, ...(after ? { after } : {}) })
      if (page.length === 0) break
      paged.push(...page)
      after = page.at(-1)!.streamId
    }
    assert.equal(paged, expected)
    for (const [options, path] of [
      [{ limit: 0 }, 'options.limit'],
      [{ after: undefined }, 'options.after'],
      [{ prefix: undefined }, 'options.prefix'],
      [{ from: 'a' }, 'options.from'],
    ] as const)
      assert.is((await rejects(store().streams(category, options as never), ValidationError)).path, path)
    assert.is((await rejects(store().streams('' as never), ValidationError)).path, 'category')
  })

  test('trace: all events of a correlation id or of an event, over categories, in position order', async () => {
    const [category, other] = [uniqueName('trace'), uniqueName('trace')]
    const append = async (metadata: object, id: string = randomUUID(), of = category) => {
      const { events } = await store().append(
        { category: of, streamId: 'a' },
        { type: 'T', data: 1, metadata, id },
      )
      return events[0]!
    }
    const root = await append({})
    await append({ correlationId: randomUUID() })
    const second = await append(causedBy(root), undefined, other)
    const third = await append(causedBy(second))
    const all = [root, second, third]
    for (const { id } of all) assert.equal(await store().trace(id), all)
    assert.equal(await store().trace(root.id.toUpperCase()), all)
    assert.equal(await store().trace(root.id, { limit: 2 }), all.slice(0, 2))
    assert.equal(await store().trace(randomUUID()), [])
    assert.equal(await store().trace(uniqueName('none')), [])

    // Ids of any form: with what JSON escapes, and longer than an index takes.
    for (const correlationId of ['"', 'a\\b', 'é\n😀', '%', 'x'.repeat(20_000), '9 > "8"']) {
      const id = `${uniqueName('id')} ${correlationId}`
      const event = await append({ note: '\u0007 \\ "correlationId" ', correlationId: id })
      const plain = await append({ correlationId: id })
      assert.equal(await store().trace(id), [event, plain], id.slice(0, 40))
    }
    // Not what only looks like it.
    const id = uniqueName('id')
    await append({ note: `"correlationId":"${id}"`, within: { correlationId: id } })
    assert.equal(await store().trace(id), [])
    assert.is((await rejects(store().trace(''), ValidationError)).path, 'id')
    assert.is((await rejects(store().trace(id, { limit: 0 }), ValidationError)).path, 'options.limit')
  })

  test('trace: more events than one query reads', async () => {
    const correlationId = uniqueName('many')
    const stream = { category: uniqueName('trace'), streamId: 'a' }
    const { events } = await store().append(
      stream,
      Array.from({ length: 2_500 }, (_, data) => ({ type: 'T', data, metadata: { correlationId } })),
    )
    assert.equal(await store().trace(correlationId), events)
    assert.equal(await store().trace(correlationId, { limit: 1_001 }), events.slice(0, 1_001))
  })
}
