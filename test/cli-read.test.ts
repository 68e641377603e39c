// @direct
// The command meowmx read: what it prints, for people and programs, and live.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, masked, parsed, startCli } from './support/cli.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'

const store = ['--schema', storeSchema]
const meow = await openStore()
test.after(closeAll)

/** What is printed, with times and ids masked. */
const shown = async (...words: string[]) => masked((await cli(['read', ...words, ...store])).stdout)

test('by category, stream, types, positions and limit', async () => {
  await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: { price: 9 } })
  await meow.append(
    { category: 'order', streamId: '42' },
    { type: 'OrderShipped', data: null, metadata: { by: 'ann' } },
  )
  await meow.append({ category: 'mail', streamId: '1' }, [
    { type: 'A', data: [1] },
    { type: 'B', data: 'b' },
  ])
  const [all, few, one, pretty] = await Promise.all([
    shown(),
    shown(
      '--category',
      'order',
      '--category',
      'mail',
      '--types',
      'OrderShipped,A,B',
      '--after',
      '1',
      '--to',
      '3',
    ),
    shown('--category', 'mail', '--stream', '1', '--limit', '1'),
    shown('--pretty', '--after', '1', '--limit', '2'),
  ])
  assert.is(
    all,
    `1 <time> order/42@0 OrderPlaced {"price":9}
2 <time> order/42@1 OrderShipped null
3 <time> mail/1@0 A [1]
4 <time> mail/1@1 B "b"
`,
  )
  assert.is(few, all.split('\n').slice(1, 3).join('\n').concat('\n'))
  assert.is(one, '3 <time> mail/1@0 A [1]\n')
  assert.is(
    pretty,
    `2 OrderShipped order/42@1
  <time> <id>
  data: null
  metadata: {
    "by": "ann"
  }
3 A mail/1@0
  <time> <id>
  data: [
    1
  ]
`,
  )
})

test('--json: each event as the library has it', async () => {
  const { events } = await meow.read({})
  const { code, stdout, stderr } = await cli(['read', '--json', ...store])
  assert.equal([code, stderr], [0, ''])
  assert.equal(parsed(stdout), JSON.parse(JSON.stringify(events)))
})

test('control characters are printed as text, so a terminal does not obey them', async () => {
  const data = { text: '\u001b[2J\u009b31m\u202e' }
  await meow.append({ category: 'evil', streamId: 'a\u001b]0;b\u0007\nc' }, { type: 'T\r', data })
  const [line, block] = await Promise.all([
    shown('--category', 'evil'),
    shown('--category', 'evil', '--pretty'),
  ])
  for (const text of [line, block]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
    assert.not.match(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    assert.ok(text.includes('evil/a\\u001b]0;b\\u0007\\u000ac@0'), text)
  }
})

test('--tail goes on with what is appended, and Ctrl-C ends it with 130', async () => {
  const stream = { category: uniqueName('tail'), streamId: '1' }
  const { position } = await meow.append(stream, { type: 'Before', data: 1 })
  const words = ['read', '--category', stream.category, '--tail', ...store]
  const tail = startCli(words)
  const future = startCli([...words, '--after', 'end', '--limit', '1'])
  await tail.says(`${position} `)
  for (let n = 0; !/ During /.test(future.stdout); n++) {
    await meow.append(stream, { type: 'During', data: n })
    await tail.says(` During ${n}\n`)
  }
  const end = await future.ended
  assert.equal([end.code, end.stdout.split('\n').length], [0, 2])
  assert.not.match(end.stdout, /Before/)
  tail.child.kill('SIGINT')
  const { code, stderr } = await tail.ended
  assert.equal([code, stderr], [130, ''])
})

test('it ends without an error when the reader of its pipe stops (| head)', async () => {
  const category = uniqueName('long')
  await meow.append({ category, streamId: '1' }, Array(5_000).fill({ type: 'T', data: 'x'.repeat(100) }))
  const reading = startCli(['read', '--category', category, ...store])
  reading.child.stdout!.once('data', () => reading.child.stdout!.destroy())
  const { code, stderr } = await reading.ended
  assert.equal([code, stderr], [0, ''])
})

test.run()
