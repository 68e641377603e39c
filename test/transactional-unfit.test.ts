// transactional: an event whose handler leaves its session or transaction unusable is tried again, and parked in the end; other
// events are not.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ pollIntervalMs: 50 })
const sql = await pgClient()
const role = uniqueName('role')
const table = `${storeSchema}.effects`
await sql.query(`
  create role ${role};
  grant usage on schema ${storeSchema} to ${role};
  create table ${table} (name text, stream text);
  -- Not in a savepoint, where all is checked that was deferred, but at the commit.
  create function ${storeSchema}.refuse() returns trigger language plpgsql as $$
    declare _at xid;
    begin
      update ${table} set name = name where ctid = (select ctid from ${table} where stream = 'bad' and name = new.name limit 1)
      returning xmin into _at;
      if _at = pg_current_xact_id()::xid then raise exception 'refused at the commit'; end if;
      return null;
    end $$;
  create constraint trigger refuse after insert on ${table} deferrable initially deferred
    for each row when (new.stream = 'bad') execute function ${storeSchema}.refuse()`)
test.after(async () => {
  await sql.query(`drop owned by ${role}; drop role ${role}`)
  await closeAll()
})

const ways: Record<string, [(client: pg.ClientBase, name: string) => unknown, RegExp]> = {
  'takes another role': [(client) => client.query(`set local role ${role}`), /missing rights|permission/],
  'makes its transaction read-only': [(client) => client.query('set transaction read only'), /read/],
  'leaves what is refused at the commit alone': [
    (client, name) => client.query(`insert into ${table} values ($1, 'bad')`, [name]),
    /refused at the commit/,
  ],
}
for (const [what, [leave, error]] of Object.entries(ways))
  for (const maxAttempts of [1, 2])
    test(`a handler that ${what} is parked, maxAttempts ${maxAttempts}`, async () => {
      const name = uniqueName('unfit')
      const streams = ['a', 'bad', 'b', 'c']
      await meow.appendAll(
        streams.map((streamId) => ({
          stream: { category: name, streamId },
          events: { type: 'T', data: {} },
        })),
      )
      const worker = meow.subscription(name, { category: name }).process(
        async ({ streamId }, { client }) => {
          if (streamId === 'bad') await leave(client, name)
          else await client.query(`insert into ${table} values ($1, $2)`, [name, streamId])
        },
        { transactional: true, outage: false, retry: { maxAttempts, minDelayMs: 0, maxDelayMs: 1 } },
      )
      const dealtWith = async () => {
        const one = (await meow.subscriptions()).find((one) => one.name === name)
        return one?.lag === 0 && one.parked === 1
      }
      await until(dealtWith, { what: 'all to be dealt with', timeoutMs: 8_000 })
      await worker.stop()
      const parked = await meow.parked(name)
      assert.equal(
        parked.map(({ event }) => event.streamId),
        ['bad'],
      )
      assert.match(parked[0]!.error!, error)
      const { rows } = await sql.query(`select stream from ${table} where name = $1 order by stream`, [name])
      assert.equal(
        rows.map(({ stream }) => stream),
        ['a', 'b', 'c'],
      )
    })

test.run()
