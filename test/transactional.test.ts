// transactional: true. What a handler writes through its client, and the checkpoint, commit together: effects exactly once.
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Handler, Meow, ProcessOptions, RecordedEvent, SubscriptionOptions } from '../src/index.ts'
import { ValidationError } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { seeded } from './support/random.ts'
import { streamsOf } from './support/sql-executor.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const named = ({ streamId, version }: RecordedEvent) => `${streamId}${version}`
const soon = { minDelayMs: 1, maxDelayMs: 3 }

type InTransaction = (
  event: RecordedEvent,
  context: { attempt: number; signal: AbortSignal; client: pg.ClientBase },
) => unknown

let meow: Meow
let sql: pg.Client
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 60_000 })
  await listening(meow)
  sql = await pgClient()
})
test.after(closeAll)

/** A subscription to streams of a category of its own, and a table for its handler to write to. */
async function given(options: Partial<SubscriptionOptions> = {}) {
  const [category, name, table] = [
    uniqueName('transactional'),
    uniqueName('tx'),
    `${storeSchema}.${uniqueName('effects')}`,
  ]
  await sql.query(
    `create table ${table} (seq serial, event text, position bigint, tx text default pg_current_xact_id()::text)`,
  )
  const append = async (streamId: string, count = 1) =>
    (await meow.append({ category, streamId }, Array(count).fill({ type: 'Happened', data: {} }))).events
  const subscribe = (store = meow) => store.subscription(name, { category, leaseMs: 60_000, ...options })
  const write = (event: RecordedEvent, client: pg.ClientBase) =>
    client.query(`insert into ${table} (event, position) values ($1, $2)`, [named(event), event.position])
  const process = (handler: InTransaction, processing: ProcessOptions = {}, store = meow) =>
    subscribe(store).process(handler, { retry: soon, outage: false, ...processing, transactional: true })
  const effects = async (): Promise<{ event: string; position: number; tx: string }[]> =>
    (await sql.query(`select event, position, tx from ${table} order by seq`)).rows.map((row) => ({
      ...row,
      position: Number(row.position),
    }))
  const written = async () => (await effects()).map(({ event }) => event)
  const hasWritten = (count: number) =>
    until(async () => (await effects()).length >= count, { what: `${count} effects` })
  return { category, name, table, append, subscribe, write, process, effects, written, hasWritten }
}

/** What is set aside; nothing, where the subscription is not there yet. */
const parked = (name: string) => meow.parked(name).catch(() => [])

/** How a promise ends; fails where it does not. */
async function outcome(promise: Promise<unknown>): Promise<{ reason?: unknown }> {
  let settled: { reason?: unknown } | undefined
  promise.then(
    () => {
      settled = {}
    },
    (reason) => {
      settled = { reason }
    },
  )
  return (await until(() => settled, { timeoutMs: 5_000, what: 'an end' }))!
}

/** Something to wait for, that the test opens. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

test('what handlers write and the checkpoint appear together', async () => {
  const { name, append, process, write, table, hasWritten } = await given()
  const events = (await Promise.all(upTo(5).map((n) => append(`${n}`, 40)))).flat()
  let looks = 0
  let writing = true
  const watcher = await pgClient()
  const watch = async () => {
    while (writing) {
      const { rows } = await watcher.query(
        `select (select count(*)::int from ${table}) as effects,
                (select count(*)::int from ${storeSchema}.events e where e.category = $2 and e.position <= c.position) as passed
         from ${storeSchema}.checkpoints c where subscription = $1`,
        [name, events[0]!.category],
      )
      for (const { effects, passed } of rows) assert.is(effects, passed)
      looks++
    }
  }
  const worker = process((event, { client }) => write(event, client), { batchSize: 7 })
  const watching = watch()
  await hasWritten(200)
  writing = false
  await watching
  assert.ok(looks > 5)
  assert.is((await checkpoint(name)).position, Math.max(...events.map(({ position }) => position)))
  await worker.stop()
})

test('up to batchSize events a transaction, 100 unless told otherwise', async () => {
  for (const batchSize of [undefined, 1, 10, 250]) {
    const { append, process, write, effects, hasWritten } = await given({ maxInFlight: 1_000 })
    await append('a', 500)
    const worker = process((event, { client }) => write(event, client), batchSize ? { batchSize } : {})
    await hasWritten(500)
    await worker.stop()
    const sizes = new Map<string, number>()
    for (const { tx } of await effects()) sizes.set(tx, (sizes.get(tx) ?? 0) + 1)
    const most = Math.max(...sizes.values())
    assert.is(most, batchSize ?? 100)
    assert.ok(sizes.size <= Math.ceil(500 / most) + 3, `${sizes.size} transactions`)
    assert.equal(
      (await effects()).map(({ event }) => event),
      upTo(500).map((n) => `a${n}`),
    )
  }
})

test('one event is not kept waiting for a batch to fill', async () => {
  const { append, process, write, written, hasWritten } = await given()
  const worker = process((event, { client }) => write(event, client))
  await worker.ready
  for (const n of upTo(3)) {
    await append('a')
    await hasWritten(n + 1)
  }
  assert.equal(await written(), ['a0', 'a1', 'a2'])
  await worker.stop()
})

test('a failing event keeps what went before it, and holds back its stream alone', async () => {
  const { name, append, process, write, written, hasWritten } = await given()
  await append('a', 30)
  await append('b', 3)
  await append('c', 3)
  let bad = true
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (bad && event.streamId === 'b' && event.version === 1) throw new Error('no')
    },
    { retry: { maxAttempts: 1_000_000, ...soon } },
  )
  await hasWritten(34)
  await append('a')
  await hasWritten(35)
  assert.equal(
    (await written()).filter((event) => event.startsWith('b')),
    ['b0'],
  )
  bad = false
  await hasWritten(37)
  const all = await written()
  for (const [stream, count] of [
    ['a', 31],
    ['b', 3],
    ['c', 3],
  ] as const) {
    assert.equal(
      all.filter((event) => event.startsWith(stream)),
      upTo(count).map((n) => `${stream}${n}`),
    )
  }
  await until(async () => (await meow.parked(name)).length === 0, { what: 'nothing to be set aside' })
  await worker.stop()
})

test('attempts: counted, with pauses, and ended by maxAttempts', async () => {
  const { name, append, process, write, written } = await given()
  await append('a', 3)
  const attempts = new Set<number>()
  const worker = process(
    async (event, { client, attempt }) => {
      await write(event, client)
      if (event.version !== 1) return
      attempts.add(attempt)
      throw new Error(`attempt ${attempt}`)
    },
    { retry: { ...soon, maxAttempts: 3 } },
  )
  await until(async () => (await parked(name))[0]?.attempts === 3, { what: 'the last attempt' })
  await worker.stop()
  assert.equal([...attempts], [1, 2, 3])
  assert.equal(await written(), ['a0'])
  const list = await meow.parked(name)
  assert.equal(
    list.map(({ event, attempts }) => [event.version, attempts]),
    [
      [1, 3],
      [2, 0],
    ],
  )
  assert.match(list[0]!.error!, /^Error: attempt 3/)
})

test('tried again without any pause, an event is not lost', async () => {
  const { append, process, write, written, hasWritten } = await given()
  const worker = process(
    async (event, { client, attempt }) => {
      await write(event, client)
      if (attempt < 3) throw new Error('not yet')
    },
    { retry: { maxAttempts: 5, minDelayMs: 0, maxDelayMs: 0 } },
  )
  for (const n of upTo(3)) {
    await append('a') // nothing comes behind it
    await hasWritten(n + 1)
  }
  await worker.stop()
  assert.equal(await written(), ['a0', 'a1', 'a2'])
})

test("onExhausted 'stop': what went before is kept, the worker ends with the very error, and nothing after it runs", async () => {
  for (const streams of [1, 120]) {
    const { name, append, process, write, written } = await given()
    const events: RecordedEvent[] = []
    for (const n of upTo(120)) events.push((await append(`${n % streams}`))[0]!)
    const bad = events[10]!
    const error = new Error('the very one')
    const worker = process(
      async (event, { client }) => {
        await write(event, client)
        if (event.position === bad.position) throw error
      },
      { onExhausted: 'stop', retry: { maxAttempts: 1 } },
    )
    assert.is((await outcome(worker.done)).reason, error)
    await worker.stop()
    assert.equal(await written(), events.slice(0, 10).map(named), `${streams} streams`)
    assert.is((await checkpoint(name)).position, events[9]!.position)
    const again = process((event, { client }) => write(event, client))
    await until(async () => (await checkpoint(name)).position === events.at(-1)!.position, {
      what: 'the rest',
    })
    await again.stop()
    assert.equal((await written()).sort(), events.map(named).sort(), 'each once')
  }
})

test('no lock on its checkpoint is held while handlers run', async () => {
  const { name, append, process, write, hasWritten } = await given()
  await append('a', 3)
  const begun = gate()
  const going = gate()
  const worker = process(async (event, { client }) => {
    await write(event, client)
    if (event.version < 2) return
    begun.open()
    await going.opened
  })
  await begun.opened
  const other = await pgClient()
  await other.query('begin')
  for (const table of ['checkpoints', 'subscriptions', 'executors']) {
    const column = table === 'subscriptions' ? 'name' : 'subscription'
    const { rowCount } = await other.query(
      `select from ${storeSchema}.${table} where ${column} = $1 for update nowait`,
      [name],
    )
    assert.is(rowCount, 1, table)
  }
  await other.query('rollback')
  const { rows } = await other.query(
    `select l.relation::regclass::text as relation, l.mode from pg_locks l
     join pg_stat_activity a on a.pid = l.pid
     where a.state like 'idle in transaction%' and a.application_name = $1
       and l.relation = any (array['checkpoints', 'subscriptions']::regclass[]) and l.mode <> 'AccessShareLock'`.replace(
      /'(checkpoints|subscriptions)'/g,
      `'${storeSchema}.$1'`,
    ),
    [`meowmx ${storeSchema}`],
  )
  assert.equal(rows, [])
  going.open()
  await hasWritten(3)
  await worker.stop()
})

test('concurrency above 1 is refused: partitions are the way', async () => {
  const { subscribe } = await given()
  try {
    subscribe().process(() => {}, { transactional: true, concurrency: 2 })
    assert.unreachable()
  } catch (error) {
    assert.instance(error, ValidationError)
    assert.is((error as ValidationError).path, 'options.concurrency')
    assert.match((error as Error).message, /partitions/)
  }
  for (const batchSize of [0, 1.5, -1])
    assert.throws(() => subscribe().process(() => {}, { transactional: true, batchSize }), /batchSize/)
})

test('its client is its own: no end, no release, and no query once the handler has ended', async () => {
  const { append, process, write, written, hasWritten } = await given()
  const clients: pg.ClientBase[] = []
  await append('a', 2)
  const worker = process(async (event, { client }) => {
    clients.push(client)
    assert.is((client as pg.PoolClient).release, undefined)
    const { rows } = await client.query('select $1::int + 1 as sum', [event.version])
    assert.is(rows[0].sum, event.version + 1)
    assert.is(client.escapeIdentifier('a"b'), '"a""b"')
    await write(event, client)
  })
  await hasWritten(2)
  assert.is(clients.length, 2)
  for (const client of clients) {
    let error: any
    try {
      await client.query('select 1')
    } catch (caught) {
      error = caught
    }
    assert.match(error?.message ?? 'nothing', /handler has ended/)
  }
  await append('a')
  await hasWritten(3)
  await worker.stop()
  assert.equal(await written(), ['a0', 'a1', 'a2'])
})

test('without transactional there is no client', async () => {
  const { append, subscribe } = await given()
  await append('a')
  let context: object | undefined
  const handler: Handler = (_, it) => {
    context = it
  }
  const worker = subscribe().process(handler)
  await until(() => context, { what: 'the handler' })
  assert.equal(Object.keys(context!).sort(), ['attempt', 'signal'])
  await worker.stop()
})

test('a query that fails and that nobody waits for: the handler that sent it has failed', async () => {
  for (const position of ['first', 'last'] as const) {
    const { name, append, process, write, written } = await given()
    const batch = position === 'last' ? ['good', 'bad'] : ['bad', 'good']
    for (const stream of batch) await append(stream)
    let worker = process(
      async (event, { client }) => {
        await write(event, client)
        if (event.streamId === 'bad') client.query('select 1 / 0').catch(() => {})
      },
      { retry: { ...soon, maxAttempts: 2 } },
    )
    const outcome = await Promise.race([
      worker.done.then(
        () => 'ended',
        (error) => `the worker ended: ${error}`,
      ),
      until(async () => (await parked(name))[0]?.attempts === 2, {
        what: 'it to be parked',
      }),
    ])
    assert.is(outcome, true)
    await until(async () => (await written()).length === 1, { what: 'the other' })
    assert.equal(await written(), ['good0'])
    await worker.stop()
    await meow.replayParked(name)
    worker = process((event, { client }) => write(event, client))
    await until(async () => (await written()).length === 2, { what: 'the replay' })
    await worker.stop()
  }
})

test('a query that succeeds and that nobody waits for is in the transaction', async () => {
  const { append, process, write, written, hasWritten } = await given()
  await append('a', 5)
  const worker = process((event, { client }) => void write(event, client))
  await hasWritten(5)
  await worker.stop()
  assert.equal(
    await written(),
    upTo(5).map((n) => `a${n}`),
  )
})

test('a handler that catches a failed query, and goes on, has failed all the same', async () => {
  const { name, append, process, write, written } = await given()
  await append('a')
  await append('b')
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (event.streamId === 'a') await client.query('select 1 / 0').catch(() => {})
    },
    { retry: { ...soon, maxAttempts: 1 } },
  )
  await until(async () => (await parked(name)).length === 1, { what: 'a to be parked' })
  await until(async () => (await written()).length === 1, { what: 'b' })
  assert.equal(await written(), ['b0'])
  await worker.stop()
})

test('its connection is terminated in the middle: all is done once', async () => {
  const { name, append, process, write, written, hasWritten } = await given()
  await append('a', 10)
  await append('b', 10)
  const terminated = new Set<number>()
  const worker = process(async (event, { client }) => {
    await write(event, client)
    if (event.version % 4 === 0 && !terminated.has(event.position)) {
      terminated.add(event.position)
      const { rows } = await client.query('select pg_backend_pid() as pid')
      await sql.query('select pg_terminate_backend($1)', [rows[0].pid])
    }
  })
  await hasWritten(20)
  assert.is(terminated.size, 6)
  const all = await written()
  assert.is(new Set(all).size, 20)
  assert.is(all.length, 20)
  await until(async () => (await meow.parked(name)).length === 0, { what: 'nothing to be set aside' })
  await worker.stop()
})

test('connections terminated at any moment: all is done once, each stream in order', async () => {
  const dice = seeded('terminated')
  const { category, process, write, written, hasWritten } = await given()
  const writer = await openStore({ pollIntervalMs: 60_000, schema: storeSchema })
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (dice.chance(0.05)) throw new Error('unlucky')
    },
    { batchSize: 10, retry: { ...soon, maxAttempts: 1_000 } },
  )
  await worker.ready
  const streams = ['a', 'b', 'c', 'd', 'e']
  let count = 0
  for (const _ of upTo(40)) {
    const events = Array.from({ length: dice.int(1, 10) }, () => ({
      type: 'Happened',
      data: {},
      id: randomUUID(),
    }))
    const streamId = dice.pick(streams)
    await until(
      () =>
        writer.append({ category, streamId }, events).then(
          () => true,
          () => false, // its connection was terminated, too: the ids make it safe to send again
        ),
      { what: 'an append' },
    )
    count += events.length
    if (dice.chance(0.3)) {
      await sql.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
        `meowmx ${storeSchema}`,
      ])
    }
  }
  await hasWritten(count)
  await worker.stop()
  const all = await written()
  assert.is(all.length, count)
  for (const stream of streams) {
    const own = all.filter((event) => event.startsWith(stream))
    assert.equal(
      own,
      upTo(own.length).map((n) => `${stream}${n}`),
    )
  }
  await writer.close()
})

test('two partitions run at once, one partition never', async () => {
  const { category, append, process, write, hasWritten, written } = await given({ partitions: 2 })
  const streams = await streamsOf(category, 2, 4)
  for (const streamId of streams.flat()) await append(streamId, 3)
  const both = gate()
  const running = new Set<number>()
  const worker = process(
    async (event, { client }) => {
      const partition = streams[0]!.includes(event.streamId) ? 0 : 1
      assert.not(running.has(partition))
      running.add(partition)
      if (running.size === 2) both.open()
      await both.opened // ends only if both are at work
      await write(event, client)
      running.delete(partition)
    },
    { batchSize: 5 },
  )
  await hasWritten(24)
  const all = await written()
  for (const stream of streams.flat()) {
    assert.equal(
      all.filter((event) => event.startsWith(stream)),
      upTo(3).map((n) => `${stream}${n}`),
    )
  }
  await worker.stop()
})

test('append({ client }) in a handler: event, effect and checkpoint commit together', async () => {
  const { name, append, process, write, effects, hasWritten } = await given()
  const category = uniqueName('derived')
  await append('a', 6)
  let failing = true
  const worker = process(
    async (event, { client }) => {
      const { events } = await meow.append(
        { category, streamId: event.streamId },
        { type: 'Derived', data: { from: event.version } },
        { client },
      )
      assert.is(events[0]!.version, event.version)
      await write(event, client)
      if (event.version === 3 && failing) {
        failing = false
        throw new Error('once')
      }
    },
    { batchSize: 2 },
  )
  await hasWritten(6)
  await worker.stop()
  const derived = await meow.load({ category, streamId: 'a' })
  assert.equal(
    derived.map(({ data }) => data.from),
    upTo(6),
  )
  const { rows } = await sql.query(
    `select xmin::text as xmin from ${storeSchema}.events where category = $1 order by version`,
    [category],
  )
  const txs = (await effects()).map(({ tx }) => `${BigInt(tx) & 0xffffffffn}`)
  // Where an event failed a savepoint's id is the row's, and not its transaction's.
  assert.is(rows.length, 6)
  assert.ok(rows.some(({ xmin }, i) => xmin === txs[i]))
  assert.equal(await meow.parked(name), [])
})

test('stop() lets the transaction under way commit, and begins no other; nothing comes again', async () => {
  const { name, append, process, write, written } = await given()
  const events = await append('a', 10)
  const begun = gate()
  const going = gate()
  const worker = process(
    async (event, { client }) => {
      begun.open()
      await going.opened
      await write(event, client)
    },
    { batchSize: 4 },
  )
  await begun.opened
  const stopping = worker.stop()
  going.open()
  await stopping
  const done = (await written()).length
  assert.ok(done > 0 && done <= 4)
  const { position, owner } = await checkpoint(name)
  assert.equal([position, owner], [events[done - 1]!.position, null])
  const next = process((event, { client }) => write(event, client))
  await until(async () => (await written()).length === 10, { what: 'the rest' })
  await next.stop()
  assert.equal(
    await written(),
    upTo(10).map((n) => `a${n}`),
  )
})

test('stop() in the middle of a batch one of whose events failed', async () => {
  const { process, append, write, written } = await given()
  const events: RecordedEvent[] = []
  for (const n of upTo(100)) events.push((await append(`s${n}_`))[0]!)
  const [begun, going] = [gate(), gate()]
  let calls = 0
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      // First the batch as it is, then again with care, but for the one that failed.
      if (event.position === events[9]!.position && ++calls === 2) {
        begun.open()
        await going.opened
      }
      if (event.position === events[10]!.position) throw new Error('no')
    },
    { retry: { minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  await begun.opened
  const stopping = worker.stop()
  going.open()
  await outcome(stopping)
  const next = process((event, { client }) => write(event, client))
  await until(async () => (await written()).length >= 100, { what: 'the rest' })
  await next.stop()
  assert.equal((await written()).sort(), events.map(named).sort())
})

test('a handler that gives up because it is told to stop is not counted', async () => {
  const { name, append, process, write, hasWritten } = await given()
  await append('a', 2)
  for (const _ of upTo(2)) {
    const begun = gate()
    const worker = process(
      async (_, { signal, attempt }) => {
        assert.is(attempt, 1)
        begun.open()
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
      { retry: { maxAttempts: 1 } },
    )
    await begun.opened
    await worker.stop()
    await worker.done
  }
  assert.equal(await meow.parked(name), [])
  const worker = process((event, { client, attempt }) => {
    assert.is(attempt, 1)
    return write(event, client)
  })
  await hasWritten(2)
  await worker.stop()
})

test('who lost the lease commits nothing: effects once, whoever is at work', async () => {
  const { name, append, process, write, written, hasWritten } = await given()
  await append('a', 3)
  const begun = gate()
  const going = gate()
  const zombie = process(async (event, { client }) => {
    if (event.version === 1) {
      begun.open()
      await going.opened
    }
    await write(event, client)
  })
  await begun.opened
  const other = await openStore({ pollIntervalMs: 60_000 })
  await listening(other)
  const next = process((event, { client }) => write(event, client), {}, other)
  await next.ready
  // The zombie is no longer one of those who share, so that it is the other who takes what is free.
  await sql.query('begin')
  await sql.query(
    `delete from ${storeSchema}.executors using ${storeSchema}.checkpoints c
     where executors.subscription = $1 and c.subscription = $1 and executors.owner = c.owner`,
    [name],
  )
  await sql.query(
    `update ${storeSchema}.checkpoints set epoch = epoch + 1, owner = null, lease_until = null where subscription = $1`,
    [name],
  )
  await sql.query(`select pg_notify(${storeSchema}.wake_channel($1), '')`, [name])
  await sql.query('commit')
  await hasWritten(3)
  going.open()
  await zombie.stop()
  await append('a')
  await hasWritten(4)
  assert.equal(await written(), ['a0', 'a1', 'a2', 'a3'])
  await next.stop()
  await other.close()
})

test('timeoutMs: a handler that takes longer fails, and nothing of it is kept', async () => {
  const { name, append, process, write, written, hasWritten } = await given()
  await append('slow')
  await append('quick')
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (event.streamId === 'slow') await new Promise(() => {})
    },
    { timeoutMs: 50, retry: { ...soon, maxAttempts: 2 } },
  )
  await hasWritten(1)
  await until(async () => (await parked(name))[0]?.attempts === 2, { what: 'it to be parked' })
  assert.match((await meow.parked(name))[0]!.error!, /^TimeoutError/)
  assert.equal(await written(), ['quick0'])
  await worker.stop()
})

test('a handler that leaves its transaction idle for longer than a lease is parked in the end, too', async () => {
  const { name, append, process, write, hasWritten } = await given({ leaseMs: 300 })
  await append('slow')
  await append('quick')
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (event.streamId === 'slow') await new Promise((resolve) => setTimeout(resolve, 600))
    },
    { retry: { ...soon, maxAttempts: 2 } },
  )
  await hasWritten(1)
  await until(async () => (await meow.parked(name)).length === 1, { what: 'it to be parked' })
  await worker.stop()
})

test.run()
