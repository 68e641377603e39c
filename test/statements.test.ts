// Each statement of the library is what src/database/statements.ts says: the server takes it on a migrated store, with the
// parameters and columns that are declared, and so it does in the form for clients of other libraries; and no file of sql/queries is left out.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { asText } from '../src/database/as-text.ts'
import { functionNames } from '../src/database/definitions.ts'
import { sql as files } from '../src/database/sql.ts'
import type { Statement } from '../src/database/statement.ts'
import { namesOf } from '../src/database/statement.ts'
import { statements } from '../src/database/statements.ts'
import { eventBytes, eventColumns } from '../src/events/event.ts'
import { select } from '../src/events/selector.ts'
import { pageStatements } from '../src/read/page-reader.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

const schema = uniqueName('statements')
await openStore({ schema, listen: false })
const client = await pgClient()
test.after(closeAll)

interface Description {
  /** The type of each parameter, as an oid. */
  readonly parameters: number[]
  readonly columns: number
  /** The types of its columns, as oids. */
  readonly types: readonly number[]
}

/** What the server says of a text. It is parsed, and does not run. */
function describe(text: string): Promise<Description> {
  return new Promise((resolve, reject) => {
    let parameters: number[] = []
    let types: number[] = []
    const { connection } = client as unknown as { connection: any }
    connection.once('parameterDescription', (message: { dataTypeIDs: number[] }) => {
      parameters = message.dataTypeIDs
    })
    client.query({
      submit() {
        connection.parse({ text })
        connection.describe({ type: 'S' })
        connection.sync()
      },
      handleRowDescription(message: { fields: { dataTypeID: number }[] }) {
        types = message.fields.map(({ dataTypeID }) => dataTypeID)
      },
      handleError: reject,
      handleReadyForQuery: () => resolve({ parameters, columns: types.length, types }),
    } as unknown as pg.Submittable)
  })
}

const own = (text: string) =>
  text
    .replaceAll('meowmx.', `${schema}.`)
    .replaceAll('{{event}}', eventColumns())
    .replaceAll('{{bytes}}', eventBytes)

const listed = (text: string) => (text === '' ? [] : text.split(', '))

/** The types that a statement declares, as oids. */
async function declared({ parameters }: Statement): Promise<number[]> {
  const types = listed(parameters).map((one) => one.slice(one.indexOf(' ') + 1).replaceAll('?', ''))
  const { rows } = await client.query(
    'select type::regtype::oid::int as oid from unnest($1::text[]) with ordinality as u (type, n) order by n',
    [types],
  )
  return rows.map(({ oid }) => oid)
}

/** Fails if the server sees other parameters or columns than the statement declares. */
async function check(statement: Statement): Promise<void> {
  const { parameters, columns } = await describe(own(statement.text))
  const types = await declared(statement)
  const said = { parameters: types, columns: listed(statement.columns).length }
  assert.equal(
    { parameters, columns },
    said,
    `${statement.name}: ${statement.parameters}; ${statement.columns}`,
  )
}

/** The oid of the type text. */
const TEXT = 25

/** Fails if the form for clients of other libraries takes or returns anything but text. */
async function checkAsText(statement: Statement): Promise<void> {
  const found = await describe(own(asText(statement)))
  const texts = (list: string) => listed(list).map(() => TEXT)
  assert.equal(found.parameters, texts(statement.parameters), statement.name)
  assert.equal(found.types, texts(statement.columns), statement.name)
}

/** These write in a WITH clause, so they can't be part of a query. They take no client of a caller. */
const NO_SUBQUERY: readonly string[] = ['import']

const camel = (name: string) =>
  name.replace(/^_/, '').replaceAll(/_(\w)/g, (_, letter) => letter.toUpperCase())

for (const [key, statement] of Object.entries(statements)) {
  test(`${key} has the parameters and columns that are declared`, async () => {
    assert.is(key, camel(statement.name))
    await check(statement)
    if (!NO_SUBQUERY.includes(key)) await checkAsText(statement)
  })
}

for (const selector of [
  {},
  { types: ['T'] },
  { category: 'a' },
  { category: 'a', streamId: 's' },
  { category: ['a', 'b'], types: ['T'] },
  { category: Array.from({ length: 9 }, (_, i) => `c${i}`), types: ['T'] },
]) {
  test(`so has a page of ${JSON.stringify(selector)}`, async () => {
    const { forward, backward } = pageStatements(select(selector))
    for (const { plain, bounded } of [forward, backward]) {
      for (const statement of [plain, bounded]) {
        await check(statement)
        await checkAsText(statement)
      }
    }
  })
}

test('a statement that calls a function names the parameters as the function does', async () => {
  const texts = new Set(Object.values(files))
  const calls = Object.values<Statement>(statements).filter(
    ({ name, text }) => functionNames.includes(name) && !texts.has(text),
  )
  assert.ok(calls.length >= 20, `${calls.length} calls`)
  for (const { name, text, parameters } of calls) {
    assert.match(text, `meowmx.${name}(`)
    const { rows } = await client.query(
      `select array(
         select u.name
         from unnest(p.proargnames, coalesce(p.proargmodes::text[], array_fill('i'::text, array[p.pronargs::int])))
           with ordinality as u (name, mode, n)
         where u.mode in ('i', 'b', 'v') order by u.n
       ) as names
       from pg_proc p where p.pronamespace = $1::regnamespace and p.proname = $2`,
      [schema, name],
    )
    assert.equal(
      rows.map(({ names }) => names.map(camel)),
      [namesOf(parameters)],
      name,
    )
  }
})

test('each file of sql/queries is declared, once', () => {
  const texts = Object.values<Statement>(statements).map(({ text }) => text)
  for (const [path, text] of Object.entries(files))
    if (path.startsWith('queries/')) assert.is(texts.filter((one) => one === text).length, 1, path)
})

test('the check can fail', async () => {
  const { parked } = statements
  for (const wrong of [
    { ...parked, parameters: 'subscription text, limit bigint' },
    { ...parked, parameters: `${parked.parameters}, types text[]` },
    { ...parked, parameters: parked.parameters.replace('bigint', 'int') },
    { ...parked, columns: `${parked.columns}, hash` },
    { ...parked, columns: parked.columns.replace('attempts, ', '') },
  ]) {
    const failed = await check(wrong).catch((error) => error)
    assert.instance(failed, assert.Assertion)
  }
})

test.run()
