// @direct
// Each query on a connection of ours has its time, however it is asked; one that is late takes its connection along.
import pg from 'pg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ask } from '../src/ask.ts'
import { LATE } from '../src/failures.ts'
import { Servers } from '../src/servers.ts'
import { rejects } from './support/rejects.ts'
import { databaseUrl } from './support/store.ts'

const TIME_MS = 300
const LONG = 'select pg_sleep(60)'
const test = suite<{ client: pg.Client }>('ask')

test.before.each(async (context) => {
  const Client = new Servers(databaseUrl()).client(TIME_MS)
  context.client = new Client({ pipeline: true } as pg.ClientConfig)
  context.client.on('error', () => {})
  await context.client.connect()
})
test.after.each(({ client }) => client.end())

test('rows are arrays of text', async ({ client }) => {
  assert.equal(
    await ask(client, { text: 'select 1 as a, $1::text as b, null as c', values: ['x'] }, TIME_MS),
    [['1', 'x', null]],
  )
})

test('of who hands on a copy of it too', async ({ client }) => {
  const query = client.query.bind(client) as (config: object) => unknown
  const instrumented = Object.assign(Object.create(client), {
    query: (config: object) => query({ ...config }),
  })
  const asked = { name: 'copied', text: 'select 1 as a, $1::text as b, null as c', values: ['x'] }
  for (const any of [instrumented, client, instrumented])
    assert.equal(await ask(any, asked, TIME_MS), [['1', 'x', null]])
  assert.is((await rejects(ask(instrumented, { text: LONG }, TIME_MS), Error)).message, LATE)
})

test('an error of the server is the error', async ({ client }) => {
  assert.is((await rejects(ask(client, { text: 'select 1/0' }, TIME_MS), pg.DatabaseError)).code, '22012')
  assert.equal(await ask(client, { text: 'select 1' }, TIME_MS), [['1']])
})

test('what is sent behind a late one fails with it, and the connection is of no more use', async ({
  client,
}) => {
  const late = ask(client, { text: LONG }, TIME_MS)
  const behind = rejects(ask(client, { text: 'select 1' }, 60_000), Error)
  assert.is((await rejects(late, Error)).message, LATE)
  assert.match((await behind).message, /terminated/)
  assert.match((await rejects(client.query('select 1'), Error)).message, /not queryable/)
})

test('a client that was taken back takes no connection along', async ({ client }) => {
  const lent = Object.assign(Object.create(client), {
    query: () => {
      throw new Error('taken back')
    },
  })
  assert.is((await rejects(ask(lent, { text: 'select 1' }, TIME_MS), Error)).message, 'taken back')
  // Longer than the time of that query, which nobody waits for any more.
  assert.is((await ask(client, { text: `select pg_sleep(${(2 * TIME_MS) / 1000})` }, 60_000)).length, 1)
})

const ways: Record<string, (client: pg.Client, text: string) => Promise<any>> = {
  'a text': (client, text) => client.query(text),
  'a text with values': (client, text) => client.query(`${text} where $1`, [true]),
  'a config': (client, text) => client.query({ text }),
  'a config that names no time': (client, text) =>
    client.query({ text, query_timeout: undefined } as pg.QueryConfig),
  'a template, whose text is on its prototype': (client, text) =>
    client.query(
      new (class {
        get text() {
          return text
        }
      })() as pg.QueryConfig,
    ),
  'a callback': (client, text) =>
    new Promise((resolve, reject) =>
      client.query(text, (error, result) => (error ? reject(error) : resolve(result))),
    ),
  'a query of the driver': (client, text) =>
    new Promise((resolve, reject) => {
      const Query = pg.Query as unknown as new (
        text: string,
        done: (error?: Error, result?: unknown) => void,
      ) => any
      client.query(new Query(text, (error, result) => (error ? reject(error) : resolve(result))))
    }),
}
for (const [name, way] of Object.entries(ways)) {
  test(`of whoever has the connection: ${name}`, async ({ client }) => {
    assert.equal((await way(client, 'select 1 as a')).rows, [{ a: 1 }])
    assert.is((await rejects(way(client, LONG), Error)).message, LATE)
  })
}

test.run()
