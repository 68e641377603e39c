// A subscription can't be created at, or reset to, a position that the store has not reached yet.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HistoryLostError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { current } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)
const event = { type: 'Happened', data: {} }
const one = () => meow.append({ category: uniqueName('ahead'), streamId: '1' }, event)

function refused(error: HistoryLostError, position: number, last: number) {
  assert.is(error.position, position)
  assert.ok(error.lastPosition >= last && error.lastPosition < position)
  assert.match(error.message, /start from a position of this store/)
}

for (const transactional of [false, true])
  test(`a new one is refused, ${transactional ? 'transactional' : 'plain'}, and is not there`, async () => {
    const { position } = await one()
    const name = uniqueName('ahead')
    const subscription = meow.subscription(name, { from: { after: position + 9_000_000 } })
    const worker = subscription.process(() => {}, { transactional })
    refused(await rejects(worker.ready, HistoryLostError), position + 9_000_000, position)
    await rejects(worker.done, HistoryLostError)
    assert.is(current(subscription.status$).state, 'stopped')
    assert.instance(current(subscription.status$).error, HistoryLostError)
    assert.equal(await meow.subscriptions({ names: [name] }), [])
  })

test('one that exists goes on at its checkpoint, whatever `from` says', async () => {
  const { position } = await one()
  const name = uniqueName('ahead')
  await meow
    .subscription(name, { from: { after: position } })
    .process(() => {})
    .stop()
  const worker = meow.subscription(name, { from: { after: position + 9_000_000 } }).process(() => {})
  await worker.ready
  await worker.stop()
})

test('a reset is refused, and nothing of it is done', async () => {
  const { position } = await one()
  const name = uniqueName('ahead')
  await meow.subscription(name, {}).process(() => {}).ready
  await meow.waitFor(name, position)
  const reset = meow.resetSubscription(name, { after: position + 9_000_000 })
  refused(await rejects(reset, HistoryLostError), position + 9_000_000, position)
  const [info] = await meow.subscriptions({ names: [name] })
  assert.is(info!.position, position)
  await meow.resetSubscription(name, { after: position })
})

test('a position that is handed out, and not committed yet, is not ahead', async () => {
  const { position } = await one()
  const [open, observer] = [await pgClient(), uniqueName('ahead')]
  await open.query('begin')
  const { rows } = await open.query(
    `select position::int from ${storeSchema}.append($1, '1', '[{"type": "Happened", "data": {}}]')`,
    [observer],
  )
  const taken = rows[0].position
  assert.ok(taken > position)
  const seen: number[] = []
  const watching = meow
    .events({ category: observer }, { from: { after: taken } })
    .subscribe((e) => seen.push(e.position))
  await meow.subscription(observer, { from: { after: taken } }).process(() => {}).ready
  await open.query('commit')
  const next = await meow.append({ category: observer, streamId: '1' }, event)
  await until(() => seen.length === 1, { what: 'the next event' })
  assert.equal(seen, [next.position])
  watching.unsubscribe()
})

test.run()
