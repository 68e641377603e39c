// Concurrent queries by tags travel together and each gets what it asked for; a horizon that was fetched for another query serves, and
// what was seen is exact all the same.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConditionFailedError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'

const sent: string[] = []
const pool = new pg.Pool({ connectionString: databaseUrl(), max: 4 })
pool.on('connect', (client: any) => {
  const query = client.query.bind(client)
  client.query = (asked: any, ...rest: unknown[]) => {
    sent.push(asked.text ?? asked)
    return query(asked, ...rest)
  }
})
const meow = await openStore({ pool, listen: false })
test.after(async () => {
  await closeAll()
  await pool.end()
})

test('of 200 at once, each gets its own events, in few round trips', async () => {
  const category = uniqueName('together')
  const tags = Array.from({ length: 200 }, (_, i) => `${category}:${i}`)
  const all = `${category}:all`
  // Each tag has as many events as its number's last digit says; all carry one tag together, which is too many for a batch.
  const written = await meow.appendAll(
    tags.flatMap((tag, i) =>
      Array.from({ length: i % 10 }, (_, n) => ({
        stream: { category, streamId: `${i}` },
        events: { type: n % 2 ? 'Odd' : 'Even', data: { i, n }, tags: [tag, all] },
      })),
    ),
  )
  const events = written.flatMap((one) => one.events).sort((a, b) => a.position - b.position)
  const cases = tags.map((tag, i) =>
    i === 7
      ? { query: { tags: [all] as const }, wanted: events }
      : i % 3 === 0
        ? {
            query: [{ tags: [all, tag] as const, types: ['Odd'] }, { tags: [tags[(i + 1) % 200]!] as const }],
            wanted: events.filter(
              (one) =>
                (one.tags.includes(tag) && one.type === 'Odd') || one.tags.includes(tags[(i + 1) % 200]!),
            ),
          }
        : { query: { tags: [tag] as const }, wanted: events.filter((one) => one.tags.includes(tag)) },
  )
  await meow.query({ tags: [all] })
  sent.length = 0
  const found = await Promise.all(cases.map(({ query }) => meow.query(query)))
  found.forEach(({ events }, i) => {
    assert.equal(events, cases[i]!.wanted, `query ${i}`)
  })
  assert.ok(sent.length <= 30, `${sent.length} statements`)
})

test('an event that commits later below the horizon of now was not seen, whichever horizon served', async () => {
  const category = uniqueName('later')
  const query = { tags: [category] as const }
  const stream = (streamId: string) => ({ category, streamId })
  await meow.query(query) // fetches a horizon
  const client = await pgClient()
  await client.query('begin')
  const tags = [category]
  const open = await meow.append(stream('open'), { type: 'Open', data: 1, tags }, { client })
  await meow.append(stream('first'), { type: 'First', data: 1, tags })
  const [one, two] = await Promise.all([meow.query(query), meow.query(query)])
  assert.equal(
    one.events.map(({ type }) => type),
    ['First'],
  )
  assert.equal(two, one)
  await client.query('commit')
  const late = meow.append(
    stream('late'),
    { type: 'Late', data: 1, tags },
    { failIf: { query, after: one.seen } },
  )
  const error = await rejects(late, ConditionFailedError)
  assert.is(error.event.position, open.position)
  const { seen } = await meow.query(query)
  await meow.append(stream('late'), { type: 'Late', data: 1, tags }, { failIf: { query, after: seen } })
})

test('more than a page of events above the horizon that served', async () => {
  const category = uniqueName('many')
  const query = { tags: [category] as const }
  await meow.query(query)
  for (let i = 0; i < 3; i++) {
    await meow.append(
      { category, streamId: `${i}` },
      Array.from({ length: 150 }, () => ({ type: 'T', data: i, tags: [category] })),
    )
    const { events, seen } = await meow.query(query)
    assert.is(events.length, 150 * (i + 1))
    await meow.append(
      { category, streamId: 'end' },
      { type: 'End', data: i, tags: ['x'] },
      { failIf: { query, after: seen } },
    )
  }
})

test('a query that fails fails alone', async () => {
  const category = uniqueName('alone')
  await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1, tags: [category] })
  const good = () => meow.query({ tags: [category] })
  const [a, bad, b] = await Promise.allSettled([good(), meow.query({ tags: [] as never }), good()])
  assert.equal([a.status, bad.status, b.status], ['fulfilled', 'rejected', 'fulfilled'])
})

test.run()
