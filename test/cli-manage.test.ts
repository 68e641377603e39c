// @direct
// The command meowmx: how a worker ends, and what an administrator can ask of subscriptions and change.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, masked, parsed, startCli } from './support/cli.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const store = ['--schema', storeSchema]
const meow = await openStore()
const dir = mkdtempSync(join(tmpdir(), 'meowmx-cli-'))
test.after(async () => {
  await closeAll()
  rmSync(dir, { recursive: true })
})

/** What a command of a worker has written to a file. */
const written = (file: string): string => {
  try {
    return readFileSync(join(dir, file), 'utf8')
  } catch {
    return ''
  }
}
const infoOf = async (name: string) => (await meow.subscriptions()).find((one) => one.name === name)!

test('SIGTERM: what runs is waited for and acked, then 143; reset and delete', async () => {
  const [name, category] = [uniqueName('term'), uniqueName('cat')]
  await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1 })
  await meow.append({ category, streamId: 'a' }, { type: 'T', data: 2 })
  const go = join(dir, 'go')
  const command = `echo began >> '${join(dir, 'term')}'; until [ -e '${go}' ]; do sleep 0.05; done; echo ended >> '${join(dir, 'term')}'`
  const worker = startCli(['worker', name, '--category', category, '--exec', command, ...store])
  await until(() => written('term') === 'began\n', { timeoutMs: 30_000, what: 'the command' })
  const busy = await cli(['delete', name, ...store])
  assert.is(busy.code, 1)
  assert.match(busy.stderr, /^meowmx: "\w+" is running \(.+\): stop it first, or give --force\n$/)
  worker.child.kill('SIGTERM')
  await cli(['append', 'go', '1', 'T', ...store]) // which takes a while
  assert.is(worker.child.exitCode, null, 'it waits for the command')
  writeFileSync(go, '')
  const { code, stderr } = await worker.ended
  assert.equal([code, stderr, written('term')], [143, '', 'began\nended\n'])
  const { events } = await meow.read({ category })
  const info = await infoOf(name)
  assert.equal([info.position >= events[0]!.position, info.lag, info.partitions[0]!.owner], [true, 1, null])
  const reset = await cli(['reset', name, 'start', '--json', ...store])
  assert.equal(parsed(reset.stdout), [{ name, to: 'start', position: 0 }])
  const gone = await cli(['delete', name, ...store])
  assert.equal(gone, { code: 0, stdout: `"${name}" is deleted\n`, stderr: '' })
})

test('a command that does not exist ends the worker, and nothing is parked', async () => {
  const [name, category] = [uniqueName('none'), uniqueName('cat')]
  await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1 })
  const { code, stderr } = await cli([
    'worker',
    name,
    '--category',
    category,
    '--exec',
    'no-such-command',
    ...store,
  ])
  assert.is(code, 1)
  assert.match(stderr, /meowmx: the command ended with exit code 127: .*no-such-command.*not found\n$/)
  const { position, lag, parked } = await infoOf(name)
  assert.equal([position, lag, parked], [0, 1, 0])
})

test('stallers lists the blocking transactions', async () => {
  const category = uniqueName('held')
  await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1 })
  const client = await pgClient({ application_name: 'batch job' })
  await client.query('begin')
  await meow.append({ category, streamId: 'b' }, { type: 'T', data: 1 }, { client })
  const { rows } = await client.query('select pg_backend_pid() as pid')
  const { stdout } = await cli(['stallers', ...store])
  assert.is(
    masked(stdout).replaceAll(/ +/g, ' ').replaceAll(/^ /gm, ''),
    `PID APPLICATION SINCE CATEGORY QUERY\n${rows[0].pid} batch job <time> ${category} select pg_backend_pid() as pid\n`,
  )
  await client.query('rollback')
  assert.equal(await cli(['stallers', ...store]), {
    code: 0,
    stdout: '',
    stderr: 'there are no blocking transactions\n',
  })
})

test.run()
