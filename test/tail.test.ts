// The tail with ports in memory, under a seeded schedule: no event is lost, repeated or out of order, whatever happens to the
// notifications. Only the horizon makes this true; planted defects show that this test can fail.
import { setMaxListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../src/core/clock.ts'
import type { RecordedEvent } from '../src/events/event.ts'
import { makeFastPath } from '../src/live/fast-path.ts'
import type { TailPorts } from '../src/live/tail.ts'
import { Tail } from '../src/live/tail.ts'
import { Horizons } from '../src/read/horizon.ts'
import type { Page } from '../src/read/page.ts'
import type { PageReader } from '../src/read/page-reader.ts'
import type { Random } from './support/random.ts'
import { random, seeded } from './support/random.ts'
import { until } from './support/until.ts'

const logger = { debug() {}, info() {}, warn() {}, error() {} }

interface Schedule {
  /** What happens to notifications. All of them lost, the poll alone wakes. */
  notifications: 'sound' | 'lossy' | 'forged'
  /** A mistake in the ports, which the run must find. */
  defect?: 'no horizon' | 'one snapshot' | 'head after locks'
}

interface Transaction {
  /** The announced p; absent until it announces. */
  announced?: number
  positions: number[]
}

/** A store in memory: transactions announce, take positions, commit or roll back; readers fetch in several steps. */
class World {
  readonly #random: Random
  readonly #schedule: Schedule
  readonly committed: number[] = [] // sorted
  readonly open = new Set<Transaction>()
  readonly tails = new Set<Tail>()
  readonly #steps: (() => void)[] = []
  head = 0
  looks = 0

  constructor(random: Random, schedule: Schedule) {
    this.#random = random
    this.#schedule = schedule
  }

  /** A step of a writer or a reader; it runs when the schedule picks it. */
  step(): Promise<void> {
    return new Promise((resolve) => this.#steps.push(resolve))
  }

  /** Run one of the steps that are due, and what follows from it. */
  async run(): Promise<void> {
    const [step] = this.#steps.splice(this.#random.int(0, Math.max(0, this.#steps.length - 1)), 1)
    step?.()
    await turn()
  }

  begin(): Transaction {
    const transaction: Transaction = { positions: [] }
    this.open.add(transaction)
    return transaction
  }

  append(transaction: Transaction): Transaction {
    transaction.announced ??= this.head
    transaction.positions.push(++this.head)
    return transaction
  }

  commit(transaction: Transaction): void {
    this.open.delete(transaction)
    this.committed.push(...transaction.positions)
    this.committed.sort((a, b) => a - b)
    const highest = transaction.positions.at(-1)
    if (highest === undefined) return
    const { notifications } = this.#schedule
    if (notifications === 'lossy' && this.#random.chance(0.5)) return
    for (const tail of this.tails) tail.wake(highest)
  }

  rollback(transaction: Transaction): void {
    this.open.delete(transaction)
  }

  forge(): void {
    const junk = this.#random.pick([
      null,
      1,
      this.head,
      this.head + 1,
      this.head + 1000,
      Number.MAX_SAFE_INTEGER,
    ])
    for (const tail of this.tails) tail.wake(junk)
  }

  tail(): Tail {
    const page = (visible: number[], after: number, limit: number) =>
      visible.filter((position) => position > after).slice(0, limit)
    const events = (positions: number[]) => positions.map((position) => ({ position }) as RecordedEvent)
    const size = this.#random.int(1, 5)
    const cut = (found: number[], after: number) => (horizon: number) => {
      const settled = found.filter((position) => position <= horizon)
      return {
        after,
        events: events(settled),
        hashes: settled,
        sizes: settled,
        bytes: settled.length,
        position: settled.length === size ? settled.at(-1)! : horizon,
      }
    }
    const { defect } = this.#schedule
    const look: TailPorts['fetchHorizon'] = async (after) => {
      this.looks++
      await this.step()
      let { head } = this
      let snapshot = [...this.committed]
      await this.step()
      const announced = [...this.open].map((transaction) => transaction.announced ?? Number.POSITIVE_INFINITY)
      if (defect === 'head after locks') {
        await this.step()
        head = this.head
      }
      await this.step()
      const bound = defect === 'no horizon' ? head : Math.min(head, ...announced)
      if (defect !== 'one snapshot') snapshot = [...this.committed]
      const settled = (bound: number) => snapshot.filter((position) => position <= bound).at(-1) ?? 0
      const rows: [string | null, string, string][] = [[null, String(settled(head)), String(head)]]
      if (bound < head) rows.push(['7', String(settled(bound)), String(head)])
      await this.step()
      const found = page(defect === 'one snapshot' ? snapshot : this.committed, after, size)
      await this.step()
      return [
        new Horizons(rows),
        // A fetch that several ask for is shared, and brings no page.
        this.#random.chance(0.7) ? cut(found, after) : undefined,
      ]
    }
    const fastPath = async (after: number) => {
      await this.step()
      const found = page(this.committed, after, size)
      await this.step()
      return cut(found, after)
    }
    const tail = new Tail({
      clock: systemClock,
      fetchHorizon: makeFastPath({ fastPath } as unknown as PageReader, look, size),
      page: async (after, until) => {
        await this.step()
        const found = page(this.committed, after, size).filter((position) => position <= until)
        return {
          after,
          events: events(found),
          hashes: found,
          sizes: found,
          bytes: found.length,
          position: found.length === size ? found.at(-1)! : until,
        }
      },
      keys: [7],
      logger,
    })
    this.tails.add(tail)
    return tail
  }
}

/** One run: writers at random, readers that come and go, then calm; says what each reader missed or repeated. */
async function play(seed: number, schedule: Schedule): Promise<string | undefined> {
  const dice = random(seed)
  const world = new World(dice, schedule)
  const stop = new AbortController()
  setMaxListeners(0, stop.signal)
  const readers: { after: number; from: number; seen: number[] }[] = []
  const read = async (tail: Tail) => {
    const from = dice.chance(0.5) ? 0 : dice.int(0, world.head)
    const reader = { after: from, from, seen: [] as number[] }
    readers.push(reader)
    while (!stop.signal.aborted) {
      const page = await tail.read(reader.after, stop.signal)
      if (page.after !== reader.after || page.position <= reader.after)
        throw new Error(`read(${reader.after}) gave the page of ${page.after} to ${page.position}`)
      for (const { position } of page.events) reader.seen.push(position)
      reader.after = page.position
      await world.step()
    }
  }
  const running: Promise<unknown>[] = []
  let failure: unknown
  const start = (tail: Tail) => {
    running.push(
      read(tail).catch((error) => {
        if (!stop.signal.aborted) failure = error
      }),
    )
    return tail
  }

  const tails = [world.tail(), world.tail()]
  for (const tail of tails) start(tail)
  for (let step = dice.int(20, 120); step > 0; step--) {
    const action = dice.next()
    const transaction = world.open.size > 0 ? dice.pick([...world.open]) : undefined
    if (action < 0.1) world.begin()
    else if (action < 0.2) world.commit(world.append(world.begin()))
    else if (action < 0.4 && transaction) world.append(transaction)
    else if (action < 0.45 && transaction) world.commit(transaction)
    else if (action < 0.5 && transaction) world.rollback(transaction)
    else if (action < 0.52) start(dice.pick(tails))
    else if (action < 0.53) tails.push(start(world.tail()))
    else if (action < 0.6 && schedule.notifications === 'forged') world.forge()
    else await world.run()
  }
  // The last to end rolls back, some time after all others: no notification tells of it.
  for (const transaction of world.open) {
    if (world.open.size > 1) world.commit(transaction)
    else world.rollback(transaction)
    for (let step = dice.int(0, 30); step > 0; step--) await world.run()
  }
  if (schedule.notifications === 'lossy') for (const tail of tails) tail.wake(null)

  const last = world.committed.at(-1) ?? 0
  const behind = () => readers.filter(({ after }) => after < last)
  const deadline = Date.now() + 2_000
  while (!failure && behind().length > 0 && Date.now() < deadline) await world.run()
  stop.abort()
  for (const tail of tails) tail.close()
  let ended = false
  Promise.all(running).then(() => {
    ended = true
  })
  while (!ended) await world.run()

  if (failure) return String(failure)
  for (const { from, seen } of readers) {
    const due = world.committed.filter((position) => position > from)
    if (seen.join() !== due.join()) return `from ${from}: saw ${seen.join()}, committed were ${due.join()}`
  }
  return undefined
}

for (const notifications of ['sound', 'lossy', 'forged'] as const) {
  test(`every reader gets all in order, each once: notifications ${notifications}, 400 schedules`, async () => {
    const seeds = seeded(notifications)
    for (let run = 0; run < 400; run++) {
      const seed = run === 0 ? seeds.seed : seeds.int(0, 4_294_967_295)
      assert.is(await play(seed, { notifications }), undefined, `SEED=${seed}`)
    }
  })
}

for (const defect of ['no horizon', 'one snapshot', 'head after locks'] as const) {
  test(`a planted defect is found within 400 schedules: ${defect}`, async () => {
    const seeds = seeded(defect)
    for (let run = 0; run < 400; run++) {
      if (await play(seeds.int(0, 4_294_967_295), { notifications: 'sound', defect })) return
    }
    assert.unreachable('nothing was lost')
  })
}

test('at rest it does not fetch the horizon, whatever notifications were forged', async () => {
  const world = new World(random(1), { notifications: 'sound' })
  const tail = world.tail()
  const stop = new AbortController()
  world.commit(world.append(world.begin()))
  world.rollback(world.append(world.begin()))
  const read = async () => {
    for (let after = 0; ; ) after = (await tail.read(after, stop.signal)).position
  }
  const reading = read().catch((error) => error)
  await until(() => world.run().then(() => tail.horizon === 1), { what: 'the horizon' })
  tail.wake(Number.MAX_SAFE_INTEGER)
  world.commit(world.append(world.begin()))
  await until(() => world.run().then(() => tail.horizon === 3), { what: 'the horizon' })
  // A tail that is held back would fetch 5 times in this time.
  const { looks } = world
  for (const end = Date.now() + 70; Date.now() < end; ) await world.run()
  assert.ok(world.looks - looks <= 1, `${world.looks - looks} looks at rest`)
  stop.abort()
  await reading
  tail.close()
})

test('a notification starts a fetch at once; events of later notifications that it finds are not fetched again', async () => {
  const asked: number[] = []
  let answer = (_horizon: number) => {}
  const tail = new Tail({
    fetchHorizon: (_after, promised) => {
      asked.push(promised)
      return new Promise((resolve) => {
        answer = (horizon) => resolve([Horizons.settled(horizon), undefined])
      })
    },
    page: async (after, position) => ({ events: [], hashes: [], sizes: [], bytes: 0, after, position }),
    keys: [],
    clock: systemClock,
    logger,
  })
  const { signal } = new AbortController()
  const first = tail.read(0, signal)
  answer(5)
  assert.is((await first).position, 5)
  const second = tail.read(5, signal)
  await turn()
  for (const position of [6, 7, 8]) tail.wake(position)
  assert.equal(asked, [0, 6])
  answer(8)
  assert.is((await second).position, 8)
  const third = tail.read(8, signal)
  await turn()
  assert.equal(asked, [0, 6], 'at rest')
  tail.wake(10)
  tail.wake(11)
  answer(10)
  assert.is((await third).position, 10)
  const fourth = tail.read(10, signal)
  await turn()
  assert.equal(asked, [0, 6, 10, 11], 'not found yet')
  answer(11)
  assert.is((await fourth).position, 11)
  tail.close()
})

test('a reader that is aborted ends at once; the others continue', async () => {
  const world = new World(random(1), { notifications: 'sound' })
  const tail = world.tail()
  const stop = new AbortController()
  const gone = tail.read(0, stop.signal)
  const kept = tail.read(0, new AbortController().signal)
  stop.abort(new Error('enough'))
  const outcome = await gone.catch((error) => error.message)
  assert.is(outcome, 'enough')
  world.commit(world.append(world.begin()))
  let page: Page | undefined
  kept.then((it) => {
    page = it
  })
  await until(() => world.run().then(() => page), { what: 'the page' })
  assert.equal(page?.events, [{ position: 1 }])
  tail.close()
})

test.run()
