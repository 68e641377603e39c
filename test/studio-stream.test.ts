// @direct
// The studio shows a stream as of each of its versions.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startStudio } from '../src/studio/index.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { ask } from './support/studio.ts'

const meow = await openStore({ pollIntervalMs: 100 })
const studio = await startStudio(meow)
test.after(async () => {
  await studio.close()
  await closeAll()
})

test('a stream as of each of its versions, with what each event has changed', async () => {
  const stream = { category: uniqueName('stream'), streamId: 'a/b ?&#é' }
  const { events } = await meow.append(stream, [
    { type: 'Made', data: { name: 'x', tags: ['a'], deep: { b: 1, c: 2 } }, metadata: { by: 'me' } },
    { type: 'Named', data: { name: 'y', tags: ['a'] } },
    { type: 'Odd', data: [1, 2] },
    { type: 'Marked', data: JSON.parse('{"__proto__": {"polluted": 1}, "constructor": null}') },
  ])
  const at = async (version?: number) => {
    const query = new URLSearchParams({
      ...stream,
      ...(version === undefined ? {} : { version: String(version) }),
    })
    const { status, json } = await ask(studio, `/api/stream?${query}`)
    assert.is(status, 200)
    return json
  }
  const first = await at(0)
  assert.equal([first.version, first.lastVersion, first.foldedFrom, first.leftOut], [0, 3, 0, 0])
  assert.equal(JSON.parse(first.state.text), events[0]!.data)
  assert.equal(JSON.parse(first.event.metadata.text), { by: 'me' })
  assert.is(first.event.recordedAt, events[0]!.recordedAt.getTime())
  assert.is(first.event.position, events[0]!.position)
  assert.equal(
    first.changes.map(({ key, kind }: any) => [key, kind]),
    [
      ['name', 'added'],
      ['tags', 'added'],
      ['deep', 'added'],
    ],
  )
  const second = await at(1)
  assert.equal(JSON.parse(second.state.text), { name: 'y', tags: ['a'], deep: { b: 1, c: 2 } })
  assert.equal(second.changes, [
    { key: 'name', kind: 'changed', before: '"x"', after: '"y"' },
    { key: 'tags', kind: 'same', before: '["a"]', after: '["a"]' },
  ])
  assert.is((await at(2)).leftOut, 1, 'its data is not an object')
  const last = await at()
  assert.is(last.version, 3)
  assert.is(last.leftOut, 1)
  assert.match(last.state.text, '"__proto__": {\n    "polluted": 1')
  assert.is(({} as any).polluted, undefined)
  assert.equal(
    last.around.map(({ version }: any) => version),
    [0, 1, 2, 3],
  )
  assert.is((await at(99)).version, 3, 'the last version there is')
  const nothing = (await ask(studio, `/api/stream?category=${stream.category}&streamId=none`)).json
  assert.equal([nothing.lastVersion, nothing.event], [-1, null])
  for (const query of [
    'category=a',
    'streamId=a',
    'category=&streamId=a',
    'category=a&streamId=a&version=x',
    'category=a&streamId=a&version=-1',
    'category=a&streamId=a&version=',
  ])
    assert.is((await ask(studio, `/api/stream?${query}`)).status, 400, query)
})

test('of a long stream, the last 10,000 events are folded, page by page', async () => {
  const stream = { category: uniqueName('long'), streamId: 'a' }
  const client = await pgClient()
  await client.query(
    `insert into ${storeSchema}.events (id, version, category, stream_id, type, data, metadata)
    select gen_random_uuid(), n, '${stream.category}', 'a', 'T', json_build_object('n', n, 'k' || n % 250, n), '{}'
    from generate_series(0, 10_249) n`.replace('10_249', '10249'),
  )
  const { json } = await ask(studio, `/api/stream?category=${stream.category}&streamId=a`)
  assert.equal([json.lastVersion, json.foldedFrom], [10_249, 250])
  const state = JSON.parse(json.state.text)
  assert.is(state.n, 10_249)
  for (const k of [0, 17, 249]) assert.is(state[`k${k}`], 10_000 + k)
  assert.equal(json.around[0].version, 10_224)
})

test.run()
