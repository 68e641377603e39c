// Tags are stored with an event, found by selectors, and bad ones are refused before anything is written.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'

test.after(closeAll)

const tagged = (type: string, ...tags: string[]) => ({ type, data: { n: 1 }, tags })

test('an event is read with its tags, sorted, and without them has none', async () => {
  const meow = await openStore()
  const stream = { category: uniqueName('tags'), streamId: '1' }
  const { events } = await meow.append(stream, [
    tagged('A', 'b', 'a', 'b'),
    { type: 'B', data: null, metadata: { user: 'x' } },
    { type: 'C', data: null, metadata: { user: 'x' }, tags: ['é"\\', 'z'] },
  ])
  const all = [['a', 'b'], [], ['z', 'é"\\']]
  assert.equal(
    events.map(({ tags }) => tags),
    all,
  )
  const loaded = await meow.load(stream)
  assert.equal(loaded, events)
  assert.equal(loaded[2]!.metadata, { user: 'x' })
  assert.equal((await meow.append(stream, tagged('D', 'a'))).events[0]!.tags, ['a'])
})

for (const [what, selector] of [
  ['alone', {}],
  ['with a category', { category: true }],
  ['with types', { types: ['A', 'X'] }],
  ['with a stream', { category: true, streamId: '1' }],
  ['with a stream and types', { category: true, streamId: '1', types: ['A', 'X'] }],
] as const)
  test(`a selector of tags ${what}`, async () => {
    const meow = await openStore()
    const category = uniqueName('tags')
    const [one, two] = [uniqueName('t'), uniqueName('t')]
    for (let i = 0; i < 12; i++)
      await meow.append({ category, streamId: String(i % 3) }, [
        { type: i % 2 ? 'A' : 'B', data: i, ...(i % 4 === 3 ? {} : { tags: i % 3 ? [one, two] : [one] }) },
      ])
    const all = (await meow.read({ category })).events
    const given = { ...selector, ...('category' in selector ? { category } : {}) } as object
    const own = 'streamId' in selector ? all.filter(({ streamId }) => streamId === '1') : all
    const typed = 'types' in selector ? own.filter(({ type }) => type === 'A') : own
    for (const tags of [[one], [two], [two, one], [one, uniqueName('t')]]) {
      const wanted = typed.filter((event) => tags.every((tag) => event.tags.includes(tag)))
      assert.equal((await meow.read({ ...given, tags })).events, wanted)
      assert.equal(
        (await meow.read({ ...given, tags }, { direction: 'backward' })).events,
        wanted.toReversed(),
      )
      assert.equal((await meow.read({ ...given, tags }, { limit: 1 })).events, wanted.slice(0, 1))
      const seen = []
      for await (const event of meow.iterate({ ...given, tags }, { live: false })) seen.push(event)
      assert.equal(seen, wanted)
    }
  })

test('bad tags are refused with their path', async () => {
  const meow = await openStore()
  const stream = { category: uniqueName('tags'), streamId: '1' }
  const refused = async (path: string, event: object) =>
    assert.is(
      (await rejects(meow.append(stream, { type: 'A', data: 1, ...event } as any), ValidationError)).path,
      path,
    )
  await refused('events.tags', { tags: undefined })
  await refused('events.tags', { tags: 'a' })
  await refused('events.tags[1]', { tags: ['a', ''] })
  await refused('events.tags[0]', { tags: ['x'.repeat(256)] })
  await refused('events.tags[0]', { tags: [7] })
  await refused('events.tags', { tags: Array.from({ length: 33 }, (_, i) => `t${i}`) })
  await refused('events.metadata.$tags', { metadata: { $tags: ['a'] } })
  assert.is((await rejects(meow.read({ tags: [] }), ValidationError)).path, 'selector.tags')
  assert.is((await rejects(meow.read({ tags: undefined } as any), ValidationError)).path, 'selector.tags')
  assert.equal(await meow.load(stream), [])
  await meow.append(stream, {
    type: 'A',
    data: 1,
    tags: Array.from({ length: 32 }, (_, i) => `${i}`.padEnd(255, 'x')),
  })
})

test('a raw INSERT with tags is refused, with a hint', async () => {
  const meow = await openStore()
  const category = uniqueName('tags')
  const insert = (metadata: string) =>
    meow.use((db) =>
      db.withClient((client) =>
        client.query(
          `insert into ${db.quotedSchema}.events (version, category, stream_id, type, data, metadata) values (0, $1, 's', 'A', '1', $2)`,
          [category, metadata],
        ),
      ),
    )
  for (const metadata of ['{"$tags":["a"]}', '{"a": 1, "$tags": ["a"]}', '{"$tags": 7}']) {
    const error = (await rejects(insert(metadata), Error)) as Error & { code: string; hint: string }
    assert.is(error.code, 'MW019')
    assert.match(error.hint, 'append(')
  }
  await insert('{"note": {"$tags": ["deep"]}}')
  const [event] = (await meow.read({ category })).events
  assert.equal(event!.tags, [])
})

test.run()
