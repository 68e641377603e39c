// meowmx.append takes json, jsonb and texts without a type, by position or by name, with a condition or without.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema as schema, uniqueName } from './support/store.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
test.after(closeAll)

const EVENTS = `'[{"type": "A", "data": {"price": 9, "currency": "EUR"}, "tags": ["t"]}, {"type": "B", "id": "ID"}]'`
const CONDITION = `'{"query": {"tags": ["TAG"]}}'`

/** Runs `append(…)`, and fails unless both events are recorded. */
async function works(call: string, parameters?: (category: string) => unknown[]): Promise<void> {
  const category = uniqueName('forms')
  const filled = (text: string) =>
    text.replaceAll('CATEGORY', category).replaceAll('TAG', category).replaceAll('ID', crypto.randomUUID())
  const values = parameters?.(category).map((value) => (typeof value === 'string' ? filled(value) : value))
  await sql.query(`select * from ${schema}.append(${filled(call)})`, values).catch((error) => {
    throw new Error(`append(${call}): ${error.message}`)
  })
  const events = await meow.load({ category, streamId: 's' })
  assert.equal(
    events.map(({ type, data, tags }) => [type, data, tags]),
    [
      ['A', { price: 9, currency: 'EUR' }, ['t']],
      ['B', null, []],
    ],
    call,
  )
}

const types = ['', '::json', '::jsonb', '::text::json', '::text::jsonb']

test('in quotes, or cast', async () => {
  for (const category of [`'CATEGORY'`, `'CATEGORY'::text`, `'CATEGORY'::varchar`])
    for (const type of types) {
      const first = `${category}, 's', ${EVENTS}${type}`
      await works(first)
      await works(`${first}, 'no-stream'`)
      await works(`${first}, 'any', null`)
      for (const other of ['', type]) await works(`${first}, 'any', ${CONDITION}${other}`)
    }
  for (const type of ['::json', '::jsonb'])
    await works(`'CATEGORY', 's', ${EVENTS}, 'any', ${CONDITION}${type}`)
})

test('by name', async () => {
  for (const type of types) {
    const named = `_category => 'CATEGORY', _stream_id => 's', _events => ${EVENTS}${type}`
    await works(named)
    await works(`${named}, _expected => 'no-stream'`)
    await works(`${named}, _condition => ${CONDITION}${type}`)
    await works(`'CATEGORY', 's', _condition => ${CONDITION}, _events => ${EVENTS}${type}`)
  }
})

test('parameters whose type the server chooses, and such that have one', async () => {
  const [events, condition] = [EVENTS.slice(1, -1), CONDITION.slice(1, -1)]
  for (const type of types) {
    await works(`$1, $2, $3${type}`, (category) => [category, 's', events])
    await works(`$1, $2, $3${type}, $4`, (category) => [category, 's', events, 'no-stream'])
    await works(`$1, $2, $3${type}, $4, $5${type}`, (category) => [category, 's', events, 'any', condition])
    await works(`$1, $2, $3${type}, $4, $5`, (category) => [category, 's', events, 'any', null])
    await works(`_events => $1${type}, _stream_id => $2, _category => $3`, (category) => [
      events,
      's',
      category,
    ])
  }
})

test('a prepared statement, and a function of another language', async () => {
  for (const type of ['unknown', 'json', 'jsonb']) {
    const category = uniqueName('prepared')
    await sql.query(`prepare append_it (text, text, ${type}) as select * from ${schema}.append($1, $2, $3)`)
    await sql.query(`execute append_it ('${category}', 's', '{"type": "T", "data": 1}')`)
    await sql.query('deallocate append_it')
    assert.equal((await meow.load({ category, streamId: 's' })).length, 1, type)
  }
  for (const type of ['json', 'jsonb']) {
    const category = uniqueName('plpgsql')
    await sql.query(`do $do$
      declare
        _events constant ${type} := ${type}_build_array(${type}_build_object('type', 'T', 'data', ${type}_build_object('n', 1)));
        _category constant varchar(80) := '${category}';
      begin
        perform ${schema}.append(_category, 's', _events, 'no-stream');
        perform ${schema}.append(_category, 's', _events -> 0, '0');
        perform ${schema}.append('${category}', 's', jsonb_agg(to_jsonb(e)))
        from (values ('T', '{"n": 3}'::jsonb)) as e (type, data);
      end
      $do$`)
    assert.equal(
      (await meow.load({ category, streamId: 's' })).map(({ data }) => data),
      [{ n: 1 }, { n: 1 }, { n: 3 }],
    )
  }
})

test('a repeat is one, whichever type it has', async () => {
  const category = uniqueName('repeat')
  const id = crypto.randomUUID()
  for (const type of ['', '::json', '::jsonb'])
    await sql.query(
      `select * from ${schema}.append('${category}', 's', '{"type": "T", "id": "${id}", "data": {"b": 1.0, "a": [2]}}'${type}, 'no-stream')`,
    )
  assert.is((await meow.load({ category, streamId: 's' })).length, 1)
})

test('errors are the same for both types, and write nothing', async () => {
  const category = uniqueName('errors')
  const end = await meow.append({ category, streamId: 'old' }, { type: 'T', data: 1, tags: [category] })
  for (const type of ['', '::json', '::jsonb']) {
    const event = `'{"type": "T"}'${type}`
    for (const [code, rest] of [
      ['MW006', `'old', ${event}, 'no-stream'`],
      ['MW007', `'s', '{"type": "T", "id": "${end.events[0]!.id}"}'${type}`],
      ['MW020', `'s', ${event}, 'any', '{"query": {"tags": ["${category}"]}}'${type}`],
      ['MW021', `'s', ${event}, 'any', '{"query": {"tags": ["${category}"]}, "after": "s1.1.x"}'${type}`],
      ['22023', `'s', ${event}, 'sometimes'`],
      ['22023', `'s', ${event}, 'any', '{"after": "x"}'${type}`],
      ['22023', `'s', '{"type": "T", "tags": [""]}'${type}`],
      ['22023', `'s', '{"type": "T", "tags": ["a"], "metadata": 7}'${type}`],
      ['22023', `'s', '{"type": "T", "tags": ["a"], "metadata": [1]}'${type}`],
      ['22023', `'s', '{"type": "T", "tags": ["a"], "metadata": {"$tags": ["b"]}}'${type}`],
      ['22023', `'s', ${event}, 'any', 'null'${type}`],
      ['22023', `'s', ${event}, 'any', '{"query": {"types": ["T"]}}'${type}`],
      ['22023', `'s', ${event}, 'any', '{"query": {"tags": ["a"]}, "before": 1}'${type}`],
      ['23502', `'s', '{"data": 1}'${type}`],
      ['23502', `'s', '"text"'${type}`],
      ['22P02', `'s', '{bad'${type}`],
    ] as const) {
      const asked = sql.query(`select * from ${schema}.append('${category}', ${rest})`)
      const error = (await rejects(asked, Error)) as Error & { code: string }
      assert.is(error.code, code, `${rest}: ${error.message}`)
    }
  }
  // Two types in one call, and arrays of json: the server says which function there is not.
  for (const wrong of [
    `'${category}', 's', '{"type": "T"}'::json, 'any', '{"query": {"tags": ["x"]}}'::jsonb`,
    `'${category}', 's', array['{"type": "T"}']::json[]`,
    `'${category}', 's', array['{"type": "T"}']::jsonb[]`,
    `'${category}', 's', '{"type": "T"}'::text`,
    `'${category}', 's', 7`,
  ]) {
    const error = (await rejects(sql.query(`select ${schema}.append(${wrong})`), Error)) as Error & {
      code: string
    }
    assert.is(error.code, '42883', wrong)
  }
  assert.is((await meow.read({ category })).events.length, 1)
})

test.run()
