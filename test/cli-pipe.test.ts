// @direct
// If the reader of a pipe stops early (`meowmx … | head -1`), or stderr is closed, no command fails or prints a stack.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startCli } from './support/cli.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'

const store = ['--schema', storeSchema]
const category = uniqueName('pipe')
const meow = await openStore()
await meow.append({ category, streamId: '1' }, Array(2_000).fill({ type: 'T', data: 'x'.repeat(100) }))
test.after(closeAll)

/** Runs it while nobody reads one of its output streams. */
async function unread(stream: 'stdout' | 'stderr', words: string[], { after = 0 } = {}) {
  const running = startCli(words, { input: `{"type":"T","data":1}\n` })
  const source = running.child[stream]!
  if (after === 0) source.destroy()
  else source.once('data', () => source.destroy())
  return running.ended
}

const COMMANDS: string[][] = [
  ['--help'],
  ['help', 'read'],
  ['--version'],
  ['completion', 'bash'],
  ['export', ...store],
  ['subscriptions', ...store],
  ['migrate', '--json', ...store],
  ['append', category, '2', 'T', '1', ...store],
]

test('stdout, from the beginning', async () => {
  const ends = await Promise.all(COMMANDS.map((words) => unread('stdout', words)))
  ends.forEach(({ code, stderr }, i) => {
    assert.equal([COMMANDS[i], code, /EPIPE|\n +at |Unhandled/.exec(stderr)], [COMMANDS[i], 0, null])
  })
})

test('stdout, after some of it', async () => {
  for (const words of [
    ['read', '--category', category, ...store],
    ['export', ...store],
  ]) {
    const { code, stderr } = await unread('stdout', words, { after: 1 })
    assert.equal([code, stderr.includes('EPIPE')], [0, false])
  }
})

test('the exit code of doctor still says whether there are problems, or that the output was not read', async () => {
  const { code, stderr } = await unread('stdout', ['doctor', ...store])
  assert.ok([0, 3].includes(code!), `exit code ${code}`)
  assert.not.match(stderr, /EPIPE/)
})

test('stderr: the exit code is what it is', async () => {
  for (const [words, expected] of [
    [['nonsense'], 2],
    [['read', '--url', 'postgres://nobody@127.0.0.1:1/x'], 1],
    [['migrate', '--verbose', ...store], 0],
  ] as const) {
    const { code } = await unread('stderr', [...words])
    assert.equal([words, code], [words, expected])
  }
})

test.run()
