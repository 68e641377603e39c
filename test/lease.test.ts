// One owner at a time, whatever happens to executors and their connections: killed, frozen, cut off, with a wrong clock.
// Another executor takes over within leaseMs + 1 s, an executor with a lost lease can't ack, and no checkpoint ever moves
// backward (I4, I5, I6, I7).
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { killExecutors, startExecutor } from './support/executors.ts'
import { startProxy } from './support/proxy.ts'
import { current } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const schema = storeSchema
const event = { type: 'Happened', data: {} }
const leaseMs = 600

let meow: Meow
test.before(async () => {
  meow = await openStore()
  const sql = await pgClient()
  await sql.query(`
    create table ${schema}.audit (n bigint generated always as identity, subscription text, position bigint, epoch bigint);
    create function ${schema}.audit() returns trigger language plpgsql as $$
    begin
      insert into ${schema}.audit (subscription, position, epoch) values (new.subscription, new.position, new.epoch);
      return null;
    end $$;
    create trigger audit after insert or update on ${schema}.checkpoints
      for each row execute function ${schema}.audit();`)
})
test.after(async () => {
  await killExecutors()
  await closeAll()
})

async function given(count: number) {
  const [category, name] = [uniqueName('lease'), uniqueName('lease')]
  const append = async (more: number) =>
    (await meow.append({ category, streamId: '1' }, Array(more).fill(event))).position
  if (count > 0) await append(count)
  return { category, name, append, options: { schema, category, name, leaseMs } }
}

/** Every value that a checkpoint had: neither it nor its epoch ever moves backward. */
async function checkAudit(name: string, last: number): Promise<void> {
  const { rows } = await (await pgClient()).query(
    `select position::int, epoch::int from ${schema}.audit where subscription = $1 order by n`,
    [name],
  )
  assert.ok(rows.length > 1, 'it was written')
  for (const [i, row] of rows.entries()) {
    const before = i > 0 ? rows[i - 1] : row
    assert.ok(row.position >= before.position, `from ${before.position} back to ${row.position}`)
    assert.ok(row.epoch >= before.epoch, `from epoch ${before.epoch} back to ${row.epoch}`)
  }
  assert.is(rows.at(-1).position, last)
}

test('kill -9: another takes over within leaseMs + 1 s; nothing is lost, little is repeated', async () => {
  const { name, append, options } = await given(0)
  const busy = { ...options, how: 'handle', handlerMs: 2, maxInFlight: 20 } as const
  const first = await startExecutor(busy)
  await first.says('state', 'live')
  const second = await startExecutor(busy)
  await append(300)
  await first.says('handled', 50)
  first.kill('SIGKILL')
  const begin = performance.now()
  assert.is(await first.ended, 'SIGKILL')
  await second.says('begun')
  const took = performance.now() - begin
  assert.ok(took < leaseMs + 1_000, `took over after ${took} ms`)
  await second.says('handled', 299)
  const [one, two] = [first.said('handled'), second.said('handled')]
  assert.equal(one, upTo(one.length))
  assert.equal(two, upTo(300).slice(two[0]), 'each once, in order, from the checkpoint')
  const repeated = one.length - two[0]
  assert.ok(repeated >= 0 && repeated <= 20, `${repeated} repeated`)
  const position = await append(1)
  await until(async () => (await checkpoint(name)).position === position, { what: 'the last checkpoint' })
  second.tell('close')
  assert.is(await second.ended, 0)
  await checkAudit(name, position)
})

test('frozen past its lease: the zombie can ack nothing, moves no checkpoint, and waits in line', async () => {
  const { name, append, options } = await given(10)
  const zombie = await startExecutor({ ...options, how: 'hold' })
  await zombie.says('held', 9)
  zombie.kill('SIGSTOP')
  const heir = await startExecutor({ ...options, how: 'handle' })
  await heir.says('handled', 9)
  assert.equal(heir.said('handled'), upTo(10))
  const position = await append(5)
  await until(async () => (await checkpoint(name)).position === position, { what: 'the checkpoint' })

  zombie.tell('ack') // to be read first of all when it wakes up
  zombie.kill('SIGCONT')
  await zombie.says('refused', undefined, 10)
  assert.equal(zombie.said('refused'), upTo(10))
  assert.equal(new Set(zombie.said('code')), new Set(['ERR_LEASE_LOST']))
  assert.equal(zombie.said('acked'), [])
  await zombie.says('state', 'waiting')
  assert.is((await checkpoint(name)).position, position)
  assert.is(zombie.said('held').length, 10, 'it got nothing new')

  // In line, it takes over again, from the checkpoint.
  heir.tell('close')
  assert.is(await heir.ended, 0)
  const last = await append(3)
  await zombie.says('held', 17)
  assert.equal(zombie.said('held').slice(10), [15, 16, 17])
  zombie.tell('ack')
  await zombie.says('acked', 17)
  zombie.tell('close')
  assert.is(await zombie.ended, 0)
  await checkAudit(name, last)
})

test('frozen in its handler: it handles no further event, and its ack does not count', async () => {
  const { name, append, options } = await given(10)
  const zombie = await startExecutor({ ...options, how: 'wait' })
  await zombie.says('begun', 0)
  zombie.kill('SIGSTOP')
  const heir = await startExecutor({ ...options, how: 'wait' })
  await heir.says('begun', 0)
  heir.tell('go')
  await heir.says('begun', 1)
  const before = await checkpoint(name)
  zombie.tell('go')
  zombie.kill('SIGCONT')
  await zombie.says('handled', 0)
  await zombie.says('state', 'waiting')
  assert.equal(zombie.said('begun'), [0], 'nothing of what it had fetched')
  await append(1)
  for (const n of upTo(11).slice(1)) {
    await heir.says('begun', n)
    heir.tell('go')
    await heir.says('handled', n)
  }
  assert.ok((await checkpoint(name)).position > before.position)
  assert.equal(zombie.said('begun'), [0])
  for (const executor of [zombie, heir]) {
    executor.tell('close')
    assert.is(await executor.ended, 0)
  }
})

test('frozen without another executor: it continues, and its acks count', async () => {
  const { name, append, options } = await given(3)
  const sleeper = await startExecutor({ ...options, how: 'hold' })
  await sleeper.says('held', 2)
  sleeper.kill('SIGSTOP')
  const sql = await pgClient()
  const expired = async () => {
    const { rows } = await sql.query(
      `select lease_until < clock_timestamp() as expired from ${schema}.checkpoints where subscription = $1`,
      [name],
    )
    return rows[0].expired
  }
  await until(expired, { what: 'the lease to run out' })
  sleeper.kill('SIGCONT')
  sleeper.tell('ack')
  await sleeper.says('acked', undefined, 3)
  const last = await append(1)
  await sleeper.says('held', 3)
  sleeper.tell('ack')
  await sleeper.says('acked', 3)
  assert.equal(sleeper.said('refused'), [])
  sleeper.tell('close')
  assert.is(await sleeper.ended, 0)
  await checkAudit(name, last)
})

test('the clock of an executor does not matter: an hour ahead, an hour behind, or jumping', async () => {
  const { name, append, options } = await given(5)
  const ahead = await startExecutor({ ...options, how: 'handle', clockOffsetMs: 3_600_000 })
  await ahead.says('handled', 4)
  const behind = await startExecutor({ ...options, how: 'handle', clockOffsetMs: -3_600_000 })
  await behind.says('state', 'waiting')
  for (const n of [5, 6]) {
    ahead.tell('jump')
    await append(1)
    await ahead.says('handled', n)
  }
  assert.equal(behind.said('begun'), [])
  ahead.kill('SIGKILL')
  const begin = performance.now()
  const last = await append(1)
  await behind.says('handled', 7)
  assert.ok(performance.now() - begin < leaseMs + 1_000)
  assert.equal(ahead.said('handled'), upTo(7))
  behind.tell('close')
  assert.is(await behind.ended, 0)
  await checkAudit(name, last)
})

test('cut off, it stops handling before another begins; healed, it waits in line', async () => {
  const { category, name, append } = await given(500)
  const proxy = await startProxy(databaseUrl())
  const far = await openStore({ connectionString: proxy.url, queryTimeoutMs: 500, pollIntervalMs: 50 })
  const begun = { far: [] as number[], near: [] as number[] }
  const work = (where: 'far' | 'near', store: Meow) => {
    const subscription = store.subscription(name, { category, leaseMs })
    const worker = subscription.process(async () => {
      begun[where].push(performance.now())
      await new Promise((resolve) => setTimeout(resolve, 3))
    })
    return { subscription, worker }
  }
  const cutOff = work('far', far)
  await until(() => begun.far.length > 5, { what: 'the first to work' })
  const successor = work('near', meow)
  await until(() => current(successor.subscription.status$).state === 'waiting', {
    what: 'the second to wait',
  })
  proxy.blackhole()
  const begin = performance.now()
  await until(() => begun.near.length > 0, { what: 'the second to work' })
  assert.ok(performance.now() - begin < leaseMs + 1_000)
  await until(() => begun.near.length > 20, { what: 'the second to work on' })
  assert.ok(begun.far.length < 500, 'it had more in hand')
  assert.ok(begun.far.at(-1)! < begun.near[0]!, 'the first had stopped before')
  const last = begun.far.length
  await proxy.heal()
  await until(() => current(cutOff.subscription.status$).state === 'waiting', { what: 'the first to wait' })
  const position = await append(1)
  await until(async () => (await checkpoint(name)).position === position, { what: 'the end' })
  assert.is(begun.far.length, last)
  await cutOff.worker.stop()
  await successor.worker.stop()
  await far.close()
  await proxy.close()
  await checkAudit(name, position)
})

test('its connections are terminated, again and again: it goes on by itself', async () => {
  const { category, name, append } = await given(0)
  const store = await openStore({ schema, pollIntervalMs: 100 })
  const handled: number[] = []
  const worker = store.subscription(name, { category, leaseMs: 5_000 }).process(async ({ version }) => {
    handled.push(version)
    if (version % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  })
  let ended = false
  worker.done.catch(() => {
    ended = true
  })
  const sql = await pgClient()
  let last = 0
  for (const round of upTo(10)) {
    last = await append(200)
    await until(() => handled.at(-1)! >= round * 200 + 50, { what: `round ${round}` })
    await sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = any ($1)`,
      [[`meowmx ${schema}`, `meowmx listener ${schema}`]],
    )
  }
  await until(async () => (await checkpoint(name)).position === last, { what: 'the end' })
  assert.not(ended)
  assert.equal(handled, upTo(2_000), 'the lease was kept: nothing is even repeated')
  await worker.stop()
  await store.close()
  await checkAudit(name, last)
})

test.run()
