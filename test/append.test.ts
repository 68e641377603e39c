// An append to PostgreSQL: a large payload, and a store without prepared statements. What every store promises of an append
// is in contract/appending.ts and contract/values.ts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, openStore, uniqueName } from './support/store.ts'

const meow = await openStore()
const newStream = () => ({ category: uniqueName('append'), streamId: 'a' })
test.after(closeAll)

test('a payload of 10 MB', async () => {
  const stream = newStream()
  const data = { text: 'mjau 🐈 '.repeat(1_000_000) }
  assert.ok(Buffer.byteLength(data.text) >= 10_000_000)
  await meow.append(stream, { type: 'Big', data })
  assert.ok((await meow.load(stream))[0]!.data.text === data.text)
})

test('without prepared statements the result is the same', async () => {
  const plain = await openStore({ prepare: false, listen: false })
  const stream = newStream()
  const { events } = await plain.append(stream, [
    { type: 'A', data: 1 },
    { type: 'B', data: 2 },
  ])
  assert.equal(await plain.load(stream), events)
})

test.run()
