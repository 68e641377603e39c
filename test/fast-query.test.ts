// @direct
// Each query on our connections has a time limit, however it is sent; a query that exceeds it closes its connection.
import pg from 'pg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { QUERY_TIMEOUT } from '../src/database/failures.ts'
import { isFast } from '../src/database/fast-query.ts'
import { runQuery, runTogether } from '../src/database/run-query.ts'
import { Servers } from '../src/database/servers.ts'
import { rejects } from './support/rejects.ts'
import { databaseUrl } from './support/store.ts'
import { until } from './support/until.ts'

const TIME_MS = 300
const LONG = 'select pg_sleep(60)'
const test = suite<{ client: pg.Client }>('ask')

test.before.each(async (context) => {
  // A busy machine may take longer to connect than a query may take here, so it tries again, as a pool does.
  const Client = new Servers(databaseUrl()).client(TIME_MS)
  await until(
    async () => {
      context.client = new Client({ pipeline: true } as pg.ClientConfig)
      return context.client.connect().then(
        () => true,
        () => false,
      )
    },
    { what: 'a connection' },
  )
})
test.after.each(({ client }) => client.end())

test('rows are arrays of text', async ({ client }) => {
  assert.equal(
    await runQuery(client, { text: 'select 1 as a, $1::text as b, null as c', values: ['x'] }, TIME_MS),
    [['1', 'x', null]],
  )
})

test('also if a copy of the client is passed on', async ({ client }) => {
  const query = client.query.bind(client) as (config: object) => unknown
  const instrumented = Object.assign(Object.create(client), {
    query: (config: object) => query({ ...config }),
  })
  const asked = { name: 'copied', text: 'select 1 as a, $1::text as b, null as c', values: ['x'] }
  for (const any of [instrumented, client, instrumented])
    assert.equal(await runQuery(any, asked, TIME_MS), [['1', 'x', null]])
  assert.is((await rejects(runQuery(instrumented, { text: LONG }, TIME_MS), Error)).message, QUERY_TIMEOUT)
})

test('an error of the server is the error', async ({ client }) => {
  assert.is(
    (await rejects(runQuery(client, { text: 'select 1/0' }, TIME_MS), pg.DatabaseError)).code,
    '22012',
  )
  assert.equal(await runQuery(client, { text: 'select 1' }, TIME_MS), [['1']])
})

test('queries that wait for a late one fail with it, and the connection is closed', async ({ client }) => {
  const late = runQuery(client, { text: LONG }, TIME_MS)
  const behind = rejects(runQuery(client, { text: 'select 1' }, 60_000), Error)
  assert.is((await rejects(late, Error)).message, QUERY_TIMEOUT)
  assert.match((await behind).message, /terminated/)
  assert.match((await rejects(client.query('select 1'), Error)).message, /not queryable/)
})

test('a client that was returned in time closes no connection', async ({ client }) => {
  const lent = Object.assign(Object.create(client), {
    query: () => {
      throw new Error('taken back')
    },
  })
  assert.is((await rejects(runQuery(lent, { text: 'select 1' }, TIME_MS), Error)).message, 'taken back')
  // Longer than the time of that query, which nobody waits for any more.
  assert.is((await runQuery(client, { text: `select pg_sleep(${(2 * TIME_MS) / 1000})` }, 60_000)).length, 1)
})

test('several together: a pipeline has all at once, and one that fails waits for the others', async ({
  client,
}) => {
  const said: string[] = []
  const question = (text: string) => async () => {
    said.push(`asked ${text}`)
    const rows = await runQuery(client, { text }, 60_000)
    said.push(`answered ${text}`)
    return rows
  }
  const one = question('select 1')
  const slow = question('select 2 from pg_sleep(0.1)')
  assert.equal(await runTogether(client, [one, slow]), [[['1']], [['2']]])
  if (!isFast(client)) return assert.match(said.join(), /^asked select 1,answered select 1,/) // npm run test:plain
  assert.match(said.join(), /^asked select 1,asked select 2/)
  said.length = 0
  assert.is(
    (await rejects(runTogether(client, [question('select 1/0'), slow]), pg.DatabaseError)).code,
    '22012',
  )
  assert.is(said.at(-1), 'answered select 2 from pg_sleep(0.1)')
})

test('several together: any other connection is asked one after the other, up to one that fails', async () => {
  const plain = new pg.Client(databaseUrl())
  await plain.connect()
  const said: string[] = []
  const question = (text: string) => async () => {
    said.push('asked')
    const rows = await runQuery(plain, { text }, 60_000)
    said.push('answered')
    return rows
  }
  assert.equal(await runTogether(plain, [question('select 1'), question('select 2')]), [[['1']], [['2']]])
  assert.equal(said, ['asked', 'answered', 'asked', 'answered'])
  said.length = 0
  await rejects(runTogether(plain, [question('select 1/0'), question('select 2')]), pg.DatabaseError)
  assert.equal(said, ['asked'])
  await plain.end()
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
  test(`also for queries of the connection's user: ${name}`, async ({ client }) => {
    assert.equal((await way(client, 'select 1 as a')).rows, [{ a: 1 }])
    assert.is((await rejects(way(client, LONG), Error)).message, QUERY_TIMEOUT)
  })
}

test.run()
