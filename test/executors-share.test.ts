// @long
// Executors share partitions evenly: within leaseMs of a join, at once after a clean stop, within leaseMs + 1 s after a
// kill; and events of a clean hand-over are handled once.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions, ProcessOptions, RecordedEvent, SubscriptionOptions } from '../src/index.ts'
import { shares } from './support/audit.ts'
import { seeded } from './support/random.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'
import { appendAtRandom, join, killTeam, takenOver } from './support/team.ts'
import { until } from './support/until.ts'

test.after(async () => {
  await killTeam()
  await closeAll()
})

interface Started {
  stop(): Promise<void>
}

/** One subscription, and executors of it that are stores of their own in this process. */
function given(options: SubscriptionOptions, connectOptions: ConnectOptions = {}) {
  const [category, name] = [uniqueName('share'), uniqueName('share')]
  const start = async (
    handler: (event: RecordedEvent) => unknown = () => {},
    processOptions: ProcessOptions = {},
  ): Promise<Started> => {
    const store = await openStore(connectOptions)
    const worker = store.subscription(name, { category, ...options }).process(handler, processOptions)
    let ended = false
    worker.done.catch((error) => {
      if (!ended) console.error('a worker ended', error)
    })
    await worker.ready
    return {
      stop: async () => {
        ended = true
        await worker.stop()
        await worker.done
        await store.close()
      },
    }
  }
  /** Waits until the partitions are shared like this; returns how long that took, in ms. */
  const become = async (wanted: number[], timeoutMs: number) => {
    const begin = performance.now()
    let now: number[] = []
    await until(
      async () => {
        now = await shares(name)
        return `${now}` === `${wanted}`
      },
      { timeoutMs, what: `shares of ${wanted}` },
    ).catch((error) => {
      throw new Error(`${error.message}; they are ${now}`)
    })
    return Math.round(performance.now() - begin)
  }
  return { category, name, start, become }
}

const stopAll = (all: readonly Started[]) => Promise.all(all.map(({ stop }) => stop()))

for (const listen of [true, false]) {
  const what = listen ? '' : ', without notifications'

  test(`two that come within a second share 4:4 within leaseMs, a third makes it 3:3:2${what}`, async () => {
    const leaseMs = 5_000
    const { start, become } = given({ partitions: 8, leaseMs }, { listen })
    const two = await Promise.all([start(), start()])
    const both = await become([4, 4], leaseMs)
    const third = await start()
    const three = await become([3, 3, 2], leaseMs)
    await third.stop()
    const again = await become([4, 4], leaseMs)
    console.log(`listen ${listen}: 4:4 after ${both} ms, 3:3:2 after ${three} ms, 4:4 after ${again} ms`)
    await stopAll(two)
    await become([], leaseMs)
  })

  test(`nine partitions and four executors: 3:2:2:2${what}`, async () => {
    const leaseMs = 5_000
    const { start, become } = given({ partitions: 9, leaseMs }, { listen })
    const all = []
    for (const wanted of [[9], [5, 4], [3, 3, 3], [3, 2, 2, 2]]) {
      all.push(await start())
      const took = await become(wanted, leaseMs)
      console.log(`listen ${listen}: ${wanted.join(':')} after ${took} ms`)
    }
    await stopAll(all)
  })
}

test('more executors than partitions: one without a partition takes over at once', async () => {
  const { start, become } = given({ partitions: 2, leaseMs: 60_000 })
  const [first, ...rest] = [await start(), await start(), await start(), await start()]
  await become([1, 1], 5_000)
  await first.stop()
  const took = await become([1, 1], 5_000)
  console.log(`the one left over took over after ${took} ms`)
  await stopAll(rest)
})

for (const listen of [true, false]) {
  const what = listen ? '' : ', without notifications'
  const boundMs = listen ? 5_000 : 15_000 // a third of the lease is 20 s
  test(`a clean stop: the others take over at once, however long the lease${what}`, async () => {
    const dice = seeded('clean stop')
    const { start, become } = given({ partitions: 8, leaseMs: 60_000 }, { listen })
    const all = [await start(), await start(), await start(), await start()]
    await become([2, 2, 2, 2], boundMs)
    const took = []
    for (const wanted of [[3, 3, 2], [4, 4], [8], []]) {
      await all.splice(dice.int(0, all.length - 1), 1)[0]!.stop()
      took.push(await become(wanted, boundMs))
    }
    console.log(`taken over after ${took} ms`)
  })

  test(`joins take a moment, too, however long the lease${what}`, async () => {
    const { start, become } = given({ partitions: 8, leaseMs: 60_000 }, { listen })
    const all = []
    const took = []
    for (const wanted of [[8], [4, 4], [3, 3, 2], [2, 2, 2, 2]]) {
      all.push(await start())
      took.push(await become(wanted, boundMs))
    }
    console.log(`shared after ${took} ms`)
    await stopAll(all)
  })
}

for (const [concurrency, transactional] of [
  [1, false],
  [8, false],
  [1, true],
] as const) {
  const what = transactional ? 'transactional' : `concurrency ${concurrency}`
  test(`joins and clean stops at random: nothing is handled twice (${what})`, async () => {
    const dice = seeded(`churn, ${what}`)
    const { category, name, start } = given({ partitions: 8, leaseMs: 60_000, maxInFlight: 64 })
    const meow = await openStore()
    const begun = new Map<number, number>()
    const next = new Map<string, number>()
    const disorder: string[] = []
    const handle = async ({ position, streamId, version }: RecordedEvent) => {
      const times = (begun.get(position) ?? 0) + 1
      begun.set(position, times)
      if (times === 1 && version !== (next.get(streamId) ?? 0)) disorder.push(`${streamId}/${version}`)
      if (times === 1) next.set(streamId, version + 1)
      await new Promise((resolve) => setTimeout(resolve, dice.int(0, 4 * concurrency)))
    }
    const join = () => start(handle, { concurrency, transactional })
    const events = await appendAtRandom(meow, category, 1_000, dice)
    const all = [await join()]
    let moves = 0
    while (begun.size < 3_000) {
      const before = begun.size
      if (all.length < 2 || (all.length < 4 && dice.chance(0.5))) all.push(await join())
      else await all.splice(dice.int(0, all.length - 1), 1)[0]!.stop()
      moves++
      if (events.length < 3_000) events.push(...(await appendAtRandom(meow, category, 250, dice)))
      const enough = Math.min(before + dice.int(0, 150), events.length)
      await until(() => begun.size >= enough, { what: `${enough} events, begun ${begun.size}` })
    }
    const last = Math.max(...events.map(({ position }) => position))
    await meow.waitFor(name, last, { timeoutMs: 10_000 })
    await until(() => begun.size === events.length, { what: 'the end' })
    await stopAll(all)
    const twice = [...begun].filter(([, times]) => times > 1).length
    console.log(`${what}: ${moves} joins and stops, ${twice} of ${events.length} handled twice`)
    assert.is(twice, 0)
    assert.equal(disorder, [])
  })
}

test('kill -9: partitions are owned again within leaseMs + 1 s', async () => {
  const dice = seeded('kill')
  const [category, name] = [uniqueName('share'), uniqueName('share')]
  const leaseMs = 1_500
  const options = { schema: storeSchema, name, subscription: { category, partitions: 8, leaseMs } }
  await openStore()
  const [first, second, third] = await Promise.all([
    join(options, dice),
    join(options, dice),
    join(options, dice),
  ])
  await until(async () => `${await shares(name)}` === '3,3,2', { what: 'even shares' })
  for (const victim of [first, second]) {
    const { took } = await takenOver(name, victim, 'SIGKILL')
    console.log(`taken over ${took} ms after a SIGKILL`)
    assert.ok(took < leaseMs + 1_000, `taken over after ${took} ms`)
  }
  assert.equal(await shares(name), [8])
  assert.is(await third.close(), 0)
})

test.run()
