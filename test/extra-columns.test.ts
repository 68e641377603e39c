// The library works if others add to its tables: columns (with names that the library's statements use for other
// things), indexes, triggers, constraints, comments, rules of replication; in connections that are open, and in new ones.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { decide, execute, manage, read, write } from './support/work.ts'

const schema = uniqueName('extra')
const sql = await pgClient()
let meow: Meow
test.before(async () => {
  meow = await openStore({ schema })
})
test.after(closeAll)

/** All that the library does, on the connections that are open and on new ones, and in SQL. */
async function everything(): Promise<void> {
  const fresh = await openStore({ schema })
  for (const store of [meow, fresh]) {
    const events = await write(store, sql)
    await read(store, events, sql)
    await decide(store, sql)
    await manage(store, await execute(store, events))
    const { category } = events[0]!
    const other = `${category}-legacy`
    await sql.query(
      `insert into ${schema}.events (version, category, stream_id, type, data) values (0, $1, 'raw', 'T', '1'), (1, $1, 'raw', 'T', '2')`,
      [other],
    )
    const { rows } = await sql.query(
      `select version, data from ${schema}.append($1, 'raw', '[{"type":"T","data":3},{"type":"T"}]', '1')`,
      [other],
    )
    assert.equal(rows, [
      { version: 2, data: 3 },
      { version: 3, data: null },
    ])
    const erased = await store.eraseStream({ category, streamId: 'a' }, { reason: 'asked for it' })
    assert.ok(erased.events > 0)
    assert.is((await store.eraseStream({ category, streamId: 'a' })).events, 0)
  }
  await fresh.close()
}

const tables = async () =>
  (
    await sql.query(
      `select c.relname as name from pg_class c where relnamespace = $1::regnamespace and relkind = 'r' order by 1`,
      [schema],
    )
  ).rows.map(({ name }) => name as string)

test('columns: with and without a default, generated, and dropped again', async () => {
  await everything()
  for (const table of await tables())
    await sql.query(
      `alter table ${schema}.${table} add column before text, add column hash int default 7, add column "row" json,
         add column erased boolean not null default false, add column walked bigint, add column e text, add column s text,
         add column p int[], add column lag int, add column n int, add column note text collate "C",
         add column made timestamptz default now(), add column "select" int generated always as (1 + 1) stored`,
    )
  await everything()
  for (const table of await tables())
    await sql.query(
      `alter table ${schema}.${table} drop column note, drop column e, add column outcome text, add column head int`,
    )
  await everything()
})

test('indexes, constraints, comments, triggers, statistics, a publication', async () => {
  await sql.query(
    `create function ${schema}.audit() returns trigger language plpgsql as 'begin return coalesce(new, old); end'`,
  )
  for (const table of await tables()) {
    const at = `${schema}.${table}`
    await sql.query(
      `create index on ${at} (hash); create index on ${at} (made desc) where hash > 0; create index on ${at} using hash (before);
       alter table ${at} add constraint odd check (hash = 7); comment on table ${at} is 'theirs'; comment on column ${at}.hash is 'theirs';
       create trigger aaa before insert or update or delete on ${at} for each row execute function ${schema}.audit();
       create trigger zzz after insert or update or delete on ${at} for each row execute function ${schema}.audit();
       create trigger yyy after insert or update or delete on ${at} for each statement execute function ${schema}.audit()`,
    )
  }
  const published = (await tables()).filter((name) => name !== 'waiters').map((name) => `${schema}.${name}`)
  await sql.query(
    `create view ${schema}.mine as select * from ${schema}.events;
     create statistics ${schema}.both on category, type from ${schema}.events;
     create table ${schema}.refers (one int primary key, id uuid references ${schema}.events (id), name text references ${schema}.subscriptions (name) on delete cascade);
     create publication ${schema} for table ${published.join(', ')}`,
  )
  try {
    await everything()
  } finally {
    await sql.query(`drop publication ${schema}`)
  }
})

test.run()
