// @direct
// The studio shows what is parked: the first event of each stream, its error, and how many later events wait for it.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startStudio } from '../src/studio/index.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { ask, look, several, waitingFor } from './support/studio.ts'
import { until } from './support/until.ts'

const meow = await openStore({ pollIntervalMs: 100 })
const studio = await startStudio(meow)
test.after(async () => {
  await studio.close()
  await closeAll()
})

test('a parked stream is shown by its first event, its error, and the number of later events that wait for it', async () => {
  const name = uniqueName('parked')
  const stream = (streamId: string) => ({ category: name, streamId })
  const short = await meow.append(stream('short'), several(3, { a: 1 }))
  const long = await meow.append(stream('long'), several(1_200))
  await createSubscription(name, { categories: [name] })
  const parked = async () => (await ask(studio, `/api/parked?name=${name}`)).json
  assert.equal(await parked(), { streams: [], events: 0 })
  const executor = await sqlExecutor(name)
  await executor.park(short.events[1]!, { attempts: 5, error: `Error: ${'x'.repeat(20_000)}` })
  await executor.park(long.events[0]!, { error: 'Error: no' })
  const { streams, events } = await parked()
  const told = ({ event, attempts, error, behind, more }: any) => [
    event.streamId,
    event.version,
    attempts,
    error.length,
    behind,
    more,
  ]
  assert.equal(streams.map(told), [
    ['short', 1, 5, 16_384, 1, false],
    ['long', 0, 1, 9, 997, true],
  ])
  assert.is(streams[0].event.data, '{\n  "a": 1\n}')
  assert.is(events, 1_000)
  assert.is((await ask(studio, '/api/parked?name=nobody')).status, 404)
})

test('the list, the details and the metrics show the same numbers of streams and events', async () => {
  for (const [streams, each] of [
    [3, 40],
    [1, 1_200],
    [130, 2],
  ] as const) {
    const name = uniqueName('counts')
    const types = { types: ['T0', 'T1', 'T2'] }
    const [plain, typed] = [`${name}_plain`, `${name}_typed`]
    const stored = await Promise.all(
      Array.from({ length: streams }, (_, n) =>
        meow.append({ category: name, streamId: `s${n}` }, several(each)),
      ),
    )
    for (const [subscription, selector] of [
      [plain, {}],
      [typed, types],
    ] as const) {
      await createSubscription(subscription, { categories: [name], ...selector })
      const executor = await sqlExecutor(subscription)
      for (const { events } of stored) await executor.park(events[0]!, { error: 'Error: no' })
    }
    const page = await look(studio)
    for (const [subscription, count] of [
      [plain, streams * each],
      [typed, streams * Math.min(each, 3)],
    ] as const) {
      const row = () => page.latest.subscriptions?.subscriptions.find((one: any) => one.name === subscription)
      await until(() => row()?.parkedStreams === streams, waitingFor('the list'))
      const { streams: listed, events, all } = (await ask(studio, `/api/parked?name=${subscription}`)).json
      assert.equal(all, { streams, events: count, isEstimate: false })
      assert.ok(
        row().parkedIsEstimate || row().parked === count,
        'the list is exact, or says that it is an estimate',
      )
      const behind = listed
        .map(({ behind }: any) => behind + 1)
        .reduce((sum: number, one: number) => sum + one)
      assert.is(behind, events, 'the events of the listed streams')
      assert.is(listed.at(-1).more, listed.length === streams && events < count)
      const { body } = await ask(studio, '/metrics')
      const value = (metric: string) =>
        Number(
          body.match(
            new RegExp(`^meowmx_subscription_${metric}{subscription="${subscription}"} (.*)$`, 'm'),
          )?.[1],
        )
      assert.is(value('parked_streams'), streams)
      assert.is(value('parked_is_estimate'), Number(row().parkedIsEstimate))
      assert.is(value('parked_events'), row().parked)
      assert.is((await meow.parked(subscription, { limit: 10_000 })).length, count)
    }
    page.leave()
  }
})

test.run()
