// @direct
// The command meowmx: alter, erase, categories, head, health, read --correlation, and how many streams are parked.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { causedBy } from '../src/index.ts'
import { cli, parsed } from './support/cli.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'

const store = ['--schema', storeSchema]
const meow = await openStore()
test.after(closeAll)

test('categories, head, and read --correlation', async () => {
  const category = uniqueName('list')
  const { events } = await meow.append({ category, streamId: 'a' }, { type: 'Root', data: 1 })
  const root = events[0]!
  await meow.append({ category, streamId: 'a' }, { type: 'Other', data: 1 })
  await meow.append({ category, streamId: 'b' }, { type: 'Child', data: 2, metadata: causedBy(root) })
  const counts = parsed((await cli(['categories', '--json', ...store])).stdout)
  const { streams, events: all } = counts.find((one) => one.category === category)
  assert.equal([streams, all], [2, 3])
  assert.match((await cli(['categories', '--names', ...store])).stdout, /^CATEGORY +POSITION\n/)
  assert.equal(await cli(['head', category, 'a', ...store]), { code: 0, stdout: '1\n', stderr: '' })
  assert.is((await cli(['head', category, 'none', ...store])).stdout, '-1\n')
  const read = async (...words: string[]) =>
    parsed((await cli(['read', '--correlation', root.id, '--json', ...words, ...store])).stdout).map(
      ({ type }) => type,
    )
  assert.equal(await read(), ['Root', 'Child'])
  assert.equal(await read('--types', 'Child'), ['Child'])
  assert.equal(await read('--after', String(root.position)), ['Child'])
  assert.equal(await read('--category', 'other'), [])
  assert.equal(await read('--limit', '1'), ['Root'])
  assert.is((await cli(['read', '--correlation', 'x', '--tail', ...store])).code, 2)
})

test('erase says what is lost, and does it with --force', async () => {
  const category = uniqueName('erase')
  await meow.append({ category, streamId: 'a' }, { type: 'T', data: { name: 'Ada' } })
  const asked = await cli(['erase', category, 'a', ...store])
  assert.is(asked.code, 2)
  assert.match(asked.stderr, `${category}/a has 1 event, whose data would be lost for ever: give --force`)
  const [event] = await meow.load({ category, streamId: 'a' })
  assert.equal(event!.data, { name: 'Ada' })
  const done = await cli(['erase', category, 'a', '--reason', 'asked', '--force', ...store])
  assert.equal([done.code, done.stdout], [0, `1 event of ${category}/a erased\n`])
  const events = await meow.load({ category, streamId: 'a' })
  assert.equal(
    events.map(({ type }) => type),
    ['T', '$erased'],
  )
  assert.is.not((events[0]!.data as any)?.name, 'Ada')
  const none = await cli(['erase', category, 'b', '--force', ...store])
  assert.equal([none.code, none.stderr], [1, `meowmx: there is no stream ${category}/b\n`])
})

test('alter changes a stopped subscription; PARKED says how many streams and events', async () => {
  const name = uniqueName('alter')
  const { events, position } = await meow.append({ category: name, streamId: 'a' }, [
    { type: 'T', data: 1 },
    { type: 'T', data: 2 },
  ])
  await createSubscription(name, { categories: [name] })
  const executor = await sqlExecutor(name)
  await executor.park(events[0]!, { attempts: 3, error: 'Error: no' })
  await executor.advance(position)
  await executor.leave()
  const { stdout } = await cli(['subscriptions', name, ...store])
  assert.match(stdout, / 1 stream, 2 events /)
  assert.match((await cli(['delete', name, ...store])).stderr, /2 parked events, which would be lost/)
  assert.is((await cli(['alter', name, ...store])).code, 2)
  assert.is((await cli(['alter', name, '--types', 'T', '--all-types', ...store])).code, 2)
  const other = uniqueName('altered')
  await createSubscription(other, { categories: [other] })
  const done = await cli([
    'alter',
    other,
    '--all-categories',
    '--types',
    'A,B',
    '--partitions',
    '2',
    ...store,
  ])
  assert.equal(done, { code: 0, stdout: `"${other}" is changed\n`, stderr: '' })
  const [info] = await meow.subscriptions({ names: [other] })
  assert.equal([info!.selector, info!.partitions.length], [{ types: ['A', 'B'] }, 2])
  assert.is((await cli(['alter', 'nobody', '--all-types', ...store])).code, 1)
})

test('health: exit code 0, and 1 if a subscription is too far behind', async () => {
  const name = uniqueName('health')
  await createSubscription(name, { categories: [name] })
  await meow.append({ category: name, streamId: 'a' }, { type: 'T', data: 1 })
  const well = await cli(['health', ...store])
  assert.is(well.code, 0)
  assert.match(well.stdout, /database +ok +the database answers/)
  const behind = await cli(['health', '--max-lag', '0', '--json', ...store])
  assert.is(behind.code, 1)
  assert.ok(parsed(behind.stdout)[0].checks.lag.behind.some((one: any) => one.name === name))
  const away = await cli(['health', '--url', 'postgres://127.0.0.1:1/x'])
  assert.equal([away.code, away.stdout], [1, ''])
})

test.run()
