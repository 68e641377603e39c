import * as assert from 'uvu/assert'
import type { EventStore, LoadOptions, ReadOptions, RecordedEvent, Selector } from '../../src/index.ts'
import { ValidationError } from '../../src/index.ts'
import { seeded } from '../support/random.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import type { Contract } from './contract.ts'

const random = seeded('contract: reading')
const pick = (n: number) => random.int(0, n - 1)
const types = ['A', 'B', 'C']

/** 120 events of 10 categories, each with streams of the same names. */
async function fill(store: EventStore, categories: string[]): Promise<RecordedEvent[]> {
  const all: RecordedEvent[] = []
  for (let i = 0; i < 60; i++) {
    const stream = { category: categories[Math.min(pick(10), pick(10))]!, streamId: `s${pick(3)}` }
    const events = Array.from({ length: 1 + pick(3) }, (_, n) => ({ type: types[pick(3)]!, data: [i, n] }))
    all.push(...(await store.append(stream, events)).events)
  }
  return all
}

function matches({ category, types, streamId }: Selector) {
  const wanted = [category ?? []].flat()
  return (event: RecordedEvent) =>
    (wanted.length === 0 || wanted.includes(event.category)) &&
    (!types || types.includes(event.type)) &&
    (streamId === undefined || event.streamId === streamId)
}

/** What `read` has to return: a filter over all that there is. */
function expectedPage(
  all: RecordedEvent[],
  selector: Selector,
  { after = 0, until = Infinity, limit = 512, direction = 'forward' }: ReadOptions,
) {
  const horizon = all.at(-1)!.position
  const end = Math.min(until, horizon)
  const range = all.filter((e) => e.position > after && e.position <= end).filter(matches(selector))
  const events = (direction === 'forward' ? range : range.reverse()).slice(0, limit)
  const last = events.length === limit ? events.at(-1) : undefined
  const resume = direction === 'forward' ? (last?.position ?? Math.max(after, end)) : undefined
  return { events, position: resume ?? (last ? last.position - 1 : after), horizon }
}

export const reading: Contract = (test, store) => {
  test('read: every selector, range, limit and direction', async () => {
    const categories = Array.from({ length: 10 }, () => uniqueName('read'))
    const mine = await fill(store(), categories)
    const all = (await store().read({}, { limit: 100_000 })).events
    assert.equal(all.slice(-mine.length), mine)
    const [first] = categories as [string]
    const selectors: Selector[] = [
      {},
      { category: first },
      { category: categories.slice(0, 3) },
      { category: categories },
      { category: [first, first, uniqueName('none')] },
      { category: uniqueName('none') },
      { category: first, streamId: 's1' },
      { category: [first], streamId: 'none' },
      { types: ['B'] },
      { category: first, types: ['C', 'A', 'A'] },
      { category: first, streamId: 's0', types: ['A'] },
      { types: ['none'] },
    ]
    const head = all.at(-1)!.position
    for (const selector of selectors) {
      assert.equal(await store().read(selector), expectedPage(all, selector, {}))
      for (let i = 0; i < 24; i++) {
        const some = () => [0, head, head + 9, all[pick(all.length)]!.position][pick(4)]!
        const options: ReadOptions = {
          ...(i % 4 ? { after: some() } : {}),
          ...(i % 3 ? { until: some() } : {}),
          ...(i % 5 ? { limit: [1, 2, 7, 512][pick(4)]! } : {}),
          ...(i % 2 ? { direction: 'backward' as const } : {}),
        }
        const expected = expectedPage(all, selector, options)
        const what = JSON.stringify([selector, options])
        assert.equal(await store().read(selector, options), expected, what)
      }
    }
  })

  test('load: every range, limit and direction; categories count it', async () => {
    const stream = { category: uniqueName('load'), streamId: 'a' }
    assert.equal(await store().load(stream), [])
    const whole = (
      await store().append(
        stream,
        Array.from({ length: 9 }, (_, n) => ({ type: 'T', data: n })),
      )
    ).events
    const { position } = await store().append({ ...stream, streamId: 'b' }, { type: 'T', data: 'other' })
    for (let i = 0; i < 40; i++) {
      const options: LoadOptions = {
        ...(i % 2 ? { fromVersion: pick(11) } : {}),
        ...(i % 3 ? { toVersion: pick(11) } : {}),
        ...(i % 5 ? { limit: 1 + pick(11) } : {}),
        ...(i % 7 < 3 ? { direction: 'backward' as const } : {}),
      }
      const { fromVersion = 0, toVersion = Infinity, limit = Infinity, direction = 'forward' } = options
      const range = whole.filter(({ version }) => version >= fromVersion && version < toVersion)
      const expected = (direction === 'forward' ? range : range.reverse()).slice(0, limit)
      assert.equal(await store().load(stream, options), expected, JSON.stringify(options))
    }
    const categories = await store().categories()
    const mine = categories.find(({ category }) => category === stream.category)
    assert.equal(mine, { category: stream.category, streams: 2, events: 10, lastPosition: position })
    const prefix = categories.map(({ category }) => category).filter((name) => name.startsWith('load_'))
    assert.equal(prefix, prefix.toSorted())
  })

  test('read, load: bad input is refused, with the path', async () => {
    const stream = { category: 'a', streamId: 'b' }
    const cases: [Promise<unknown>, string][] = [
      [store().read(null as never), 'selector'],
      [store().read({ category: [] }), 'selector.category'],
      [store().read({ category: ['a', ''] }), 'selector.category[1]'],
      [store().read({ types: [] }), 'selector.types'],
      [store().read({ streamId: 's' }), 'selector.streamId'],
      [store().read({ category: ['a', 'b'], streamId: 's' }), 'selector.streamId'],
      [store().read({ kind: 'a' } as never), 'selector.kind'],
      [store().read({}, { after: -1 }), 'options.after'],
      [store().read({}, { limit: 100_001 }), 'options.limit'],
      [store().read({}, { direction: 'up' as never }), 'options.direction'],
      [store().read({}, null as never), 'options'],
      [store().load({ category: 'a' } as never), 'stream.streamId'],
      [store().load(stream, { limit: 0 }), 'options.limit'],
      [store().load(stream, { fromVersion: 0.5 }), 'options.fromVersion'],
      [store().load(stream, { from: 1 } as never), 'options.from'],
    ]
    for (const [promise, path] of cases) assert.is((await rejects(promise, ValidationError)).path, path)
  })
}
