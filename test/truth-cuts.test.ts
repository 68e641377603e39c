// Appends of every kind while their connections break at random moments, in every way: each answer is compared with the
// table (I9), and if it is unknown, the same ids are appended again, which writes them once.
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AppendResult, ExpectedVersion, Meow, NewEvent, RecordedEvent } from '../src/index.ts'
import { OutcomeUnknownError } from '../src/index.ts'
import { startFaultProxy } from './faults/proxy.ts'
import type { Random } from './support/random.ts'
import { seeded } from './support/random.ts'
import { closeAll, databaseUrl, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const CUTS = Number(process.env.CUTS ?? 200)

let direct: Meow
test.before(async () => {
  direct = await openStore({ listen: false })
})
test.after(closeAll)

interface Write {
  stream: { category: string; streamId: string }
  events: (NewEvent & { id: string })[]
  expectedVersion: ExpectedVersion
}

/** An append, or the group of an appendAll, and how it ended. */
interface Call {
  readonly writes: readonly Write[]
  outcome: 'done' | 'refused' | 'not sent' | 'unknown' | undefined
  results: AppendResult[]
  error?: unknown
}

/** Errors by which nothing can have been written. */
const outcomes: Record<string, Call['outcome']> = {
  ERR_VERSION_CONFLICT: 'refused',
  ERR_CONNECTION: 'not sent',
  ERR_TIMEOUT: 'not sent',
  ERR_OUTCOME_UNKNOWN: 'unknown',
}

function compose(dice: Random, category: string): Write {
  const large = dice.chance(0.05)
  const events = Array.from({ length: large ? 1 : dice.int(1, 3) }, () => ({
    id: crypto.randomUUID(),
    type: 'Happened',
    data: large ? 'x'.repeat(300 * 1024) : dice.int(0, 9),
  }))
  const expectedVersion = dice.pick<ExpectedVersion>([
    'any',
    'any',
    'any',
    'no-stream',
    'stream-exists',
    3,
    30,
  ])
  return { stream: { category, streamId: `${dice.int(1, 20)}` }, events, expectedVersion }
}

async function run(meow: Meow, call: Call): Promise<void> {
  const [{ stream, events, expectedVersion }] = call.writes as [Write]
  try {
    if (call.writes.length > 1) call.results = await meow.appendAll(call.writes)
    else call.results = [await meow.append(stream, events, { expectedVersion })]
    call.outcome = 'done'
  } catch (error) {
    call.error = error
    call.outcome = outcomes[(error as { code?: string }).code ?? '']
    if (!call.outcome) throw error
  }
}

/** Events as a line each: what is large would take a failing assertion hours to compare. */
const brief = (events: readonly RecordedEvent[]) =>
  events.map(({ id, streamId, version, position, recordedAt }) =>
    [id, streamId, version, position, recordedAt.toISOString()].join(' '),
  )

/** What was written of a call, in its order. */
const written = ({ writes }: Call, there: ReadonlyMap<string, RecordedEvent>) =>
  writes.flatMap(({ events }) => events).flatMap(({ id }) => there.get(id) ?? [])

test(`${CUTS} cuts at random moments: what an append says is so`, async () => {
  const dice = seeded('cuts')
  const category = uniqueName('cuts')
  const proxy = await startFaultProxy(databaseUrl())
  const far = await openStore({ connectionString: proxy.url, listen: false, queryTimeoutMs: 600 })
  const calls: Call[] = []
  let stopped = false
  const writers = Array.from({ length: 6 }, async () => {
    while (!stopped) {
      // Mostly several at once, which share a transaction.
      const together = Array.from({ length: dice.pick([1, 1, 4, 32]) }, () => {
        const writes = Array.from({ length: dice.chance(0.1) ? 3 : 1 }, () => compose(dice, category))
        const call: Call = { writes, outcome: undefined, results: [] }
        calls.push(call)
        return run(far, call)
      })
      await Promise.all(together)
      await delay(calls.at(-1)!.outcome === 'not sent' ? 50 : dice.int(0, 10)) // as writers do
    }
  })
  const faults: Record<string, () => Promise<void> | void> = {
    reset: () => proxy.reset(),
    'answers lost': () => proxy.loseAnswers(dice.int(1, 3)),
    'refused for a while': async () => {
      await proxy.cut()
      await delay(dice.pick([0, 50, 600]))
    },
    'silent for a while': async () => {
      proxy.blackhole(dice.pick(['both', 'there', 'back']))
      await delay(dice.pick([50, 600]))
      if (dice.chance(0.5)) proxy.thaw()
      else proxy.reset()
    },
  }
  // Long faults are rarer: they take time, and cut no more.
  const names = Object.keys(faults).flatMap((name) => Array(name.includes('while') ? 1 : 6).fill(name))
  for (let n = 0; n < CUTS; n++) {
    await delay(dice.int(0, 100))
    await faults[dice.pick(names) as string]!()
    await proxy.heal()
  }
  stopped = true
  await Promise.all(writers)
  await far.close()
  await proxy.close()

  /** All that is there, by id. */
  const look = async () => {
    const found = new Map<string, RecordedEvent>()
    for await (const event of direct.iterate({ category }, { live: false })) {
      assert.not(found.has(event.id), `${event.id} is there twice`)
      found.set(event.id, event)
    }
    return found
  }
  const check = (there: ReadonlyMap<string, RecordedEvent>) => {
    for (const call of calls) {
      const is = written(call, there)
      const what = `${call.outcome}: ${JSON.stringify(call.writes.map(({ events, ...rest }) => rest))}`
      if (call.outcome === 'done')
        assert.equal(brief(call.results.flatMap(({ events }) => events)), brief(is), what)
      else if (call.outcome !== 'unknown') assert.equal(brief(is), [], what)
      else assert.ok([0, call.writes.flatMap(({ events }) => events).length].includes(is.length), what)
    }
  }
  const unknown = calls.filter(({ outcome }) => outcome === 'unknown')
  // A query whose answer was lost may still arrive at the server.
  await until(async () => (await direct.stallers()).length === 0, { what: 'the last of it' })
  const before = await look()
  check(before)

  const count = (outcome: Call['outcome']) => calls.filter((call) => call.outcome === outcome).length
  const late = unknown.filter((call) => written(call, before).length > 0).length
  console.log(
    `${CUTS} cuts, ${calls.length} calls: ${count('done')} done, ${count('refused')} refused, ${count('not sent')} not sent, ${unknown.length} unknown (${late} of them written)`,
  )
  for (const call of unknown) {
    const { events, writes } = call.error as OutcomeUnknownError
    assert.instance(call.error, OutcomeUnknownError)
    assert.equal(
      events.map(({ id }) => id),
      call.writes.flatMap(({ events }) => events.map(({ id }) => id)),
    )
    // Appends again what the error carries: events that were written are reported, the others are written or refused now.
    const again: Call = { writes: writes as Write[], outcome: undefined, results: [] }
    await run(direct, again)
    const was = written(call, before)
    if (was.length > 0) {
      assert.equal(brief(again.results.flatMap(({ events }) => events)), brief(was))
      assert.ok(again.results.every(({ deduplicated }) => deduplicated))
    }
    Object.assign(call, again)
  }
  const after = await look()
  check(after)
  const next = new Map<string, number>()
  for (const { streamId, version } of after.values()) {
    assert.is(version, next.get(streamId) ?? 0)
    next.set(streamId, version + 1)
  }
})

test.run()
