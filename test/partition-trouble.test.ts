// The status shows a partition that the database refuses until this partition makes progress again, whatever other partitions
// do. Partitions that are lost together count as one failure each.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { current } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const PARTITIONS = 2
const logged: { text: string; attempt?: number }[] = []
const log = (fields: object, text: string) => void logged.push({ ...fields, text })
const logger = { debug: log, info: log, warn: log, error: log }

let meow: Meow
let sql: pg.Client
test.before(async () => {
  meow = await openStore({ logger, pollIntervalMs: 60_000 }) // so that nothing is written of events that are only passed over
  sql = await pgClient()
  await sql.query(`create table ${storeSchema}.refused (subscription text, partition int);
    create sequence ${storeSchema}.tries;
    create function ${storeSchema}.refuse_progress() returns trigger language plpgsql as $$
      begin
        if exists (select from ${storeSchema}.refused r
                   where r.subscription = new.subscription and r.partition = new.partition) then
          perform nextval('${storeSchema}.tries');
          raise exception 'not now' using errcode = '53200';
        end if;
        return new;
      end $$;
    create trigger refuse_progress before update on ${storeSchema}.checkpoints for each row
      when (new.position > old.position) execute function ${storeSchema}.refuse_progress()`)
})
test.after(closeAll)

/** Refuses the checkpoints of these partitions. */
async function refuse(name: string, partitions: readonly number[]) {
  await sql.query(`select setval('${storeSchema}.tries', 1, false)`)
  await sql.query(`insert into ${storeSchema}.refused select $1, unnest($2::int[])`, [name, partitions])
  return {
    tries: async () => {
      const { rows } = await sql.query(
        `select last_value - (not is_called)::int as tries from ${storeSchema}.tries`,
      )
      return Number(rows[0].tries)
    },
    end: () => sql.query(`delete from ${storeSchema}.refused`),
  }
}

/** A stream of each partition, and a transactional worker. */
async function given() {
  const name = uniqueName('trouble')
  const { rows } = await sql.query(
    `select distinct on (partition) stream_id, partition from (
       select n::text as stream_id, ${storeSchema}.stream_hash($1, n::text) % ${PARTITIONS} as partition
       from generate_series(1, 100) n) as streams
     order by partition`,
    [name],
  )
  const streams: string[] = rows.map(({ stream_id }) => stream_id)
  assert.is(streams.length, PARTITIONS)
  const append = (partition: number) =>
    meow.append({ category: name, streamId: streams[partition]! }, { type: 'T', data: {} })
  const subscription = meow.subscription(name, { category: name, partitions: PARTITIONS })
  const handled: number[] = []
  const worker = subscription.process(({ position }) => void handled.push(position), { transactional: true })
  await worker.ready
  const reached = async (partition: number, position: number) => {
    const [info] = await meow.subscriptions({ names: [name] })
    return info!.partitions[partition]!.position >= position
  }
  return { name, append, subscription, worker, reached }
}

test('the status tells of a partition in trouble while another one makes progress', async () => {
  const { name, append, subscription, worker, reached } = await given()
  const refusal = await refuse(name, [0])
  const stuck = await append(0)
  await until(() => current(subscription.status$).state === 'failing', { what: 'the status to tell of it' })
  const { since } = current(subscription.status$)
  const { retryingSince } = current(meow.status$)
  assert.ok(since && retryingSince)
  const statuses = collect(subscription.status$)
  const stores = collect(meow.status$)
  const tries = await refusal.tries()
  while ((await refusal.tries()) < tries + 2) {
    const { position } = await append(1)
    await until(() => reached(1, position), { what: 'the other partition to make progress' })
  }
  for (const status of statuses.all) {
    assert.is(status.state, 'failing')
    assert.equal(status.since, since)
    assert.match(String((status.error as Error).message), /not now/)
  }
  for (const status of stores.all) assert.equal(status.retryingSince, retryingSince)
  await refusal.end()
  await until(() => reached(0, stuck.position), { what: 'the partition to make progress', timeoutMs: 30_000 })
  await until(() => current(subscription.status$).state === 'live', { what: 'the end of it to be told' })
  assert.is(current(meow.status$).retryingSince, undefined)
  await worker.stop()
})

test('partitions that are lost together are one failure of each: the pause grows once', async () => {
  const { name, append, worker, reached } = await given()
  const refusal = await refuse(name, [0, 1])
  logged.length = 0
  const appended = await Promise.all([append(0), append(1)])
  await until(async () => (await refusal.tries()) >= 6, { what: 'three rounds', timeoutMs: 30_000 })
  await refusal.end()
  for (const [partition, { position }] of appended.entries())
    await until(() => reached(partition, position), { what: `partition ${partition}`, timeoutMs: 30_000 })
  const attempts = logged.filter(({ text }) => text.includes('trying again')).map(({ attempt }) => attempt!)
  assert.ok(attempts.filter((attempt) => attempt === 1).length >= 2, `each counts its own: ${attempts}`)
  assert.ok(Math.max(...attempts) >= 2 && Math.max(...attempts) < attempts.length, `and once: ${attempts}`)
  await worker.stop()
})

test.run()
