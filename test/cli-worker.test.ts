// @direct
// The command meowmx: a subscription run from the shell, and the commands to operate it.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, masked, parsed, startCli } from './support/cli.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'
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

test('worker prints and acks; --once ends it; the next one continues, and needs no selector', async () => {
  const [name, category] = [uniqueName('print'), uniqueName('cat')]
  const unknown = await cli(['worker', name, ...store])
  assert.equal(unknown, {
    code: 2,
    stdout: '',
    stderr: `meowmx: there is no subscription "${name}" yet: give --category or --all, which say what it consumes\n`,
  })
  await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1 })
  const first = await cli(['worker', name, '--category', category, '--partitions', '2', '--once', ...store])
  assert.equal([first.code, masked(first.stdout), first.stderr], [0, `1 <time> ${category}/a@0 T 1\n`, ''])
  await meow.append({ category, streamId: 'a' }, { type: 'T', data: 2 })
  const { events } = await meow.read({ category }, { after: 1 })
  const second = await cli(['worker', name, '--once', '--json', ...store])
  assert.equal(parsed(second.stdout), JSON.parse(JSON.stringify(events)))
})

test('--exec: a line of JSON on stdin, exit code 0 acks; what fails is tried again, then parked with its stderr; replay', async () => {
  const [name, category] = [uniqueName('exec'), uniqueName('cat')]
  await meow.append({ category, streamId: 'bad' }, [
    { type: 'Fails', data: 1 },
    { type: 'Waits', data: 2 },
  ])
  await meow.append({ category, streamId: 'good' }, { type: 'Works', data: 3 })
  const command = `read -r event; echo "$MEOWMX_SUBSCRIPTION $MEOWMX_ATTEMPT $event" >> '${join(dir, 'exec')}'
    case $event in *Fails*) echo "no, really" >&2; exit 3 ;; *) echo "did $event" ;; esac`
  const words = [
    'worker',
    name,
    '--category',
    category,
    '--exec',
    command,
    '--once',
    '--max-attempts',
    '2',
    '--min-delay-ms',
    '1',
    ...store,
  ]
  const { code, stdout, stderr } = await cli(words)
  const { events } = await meow.read({ category })
  const json = events.map((event) => JSON.stringify(event))
  assert.is(code, 0)
  assert.is(stdout, `did ${json[2]}\n`)
  assert.match(stderr, /no, really/)
  assert.equal(
    written('exec').trim().split('\n').sort(),
    [`${name} 1 ${json[0]}`, `${name} 1 ${json[2]}`, `${name} 2 ${json[0]}`].sort(),
  )
  const parked = await cli(['parked', name, ...store])
  const [first, second] = events.map(({ position }) => position)
  assert.is(
    masked(parked.stdout).replaceAll(/ +/g, ' '),
    `POSITION EVENT TYPE ATTEMPTS PARKED ERROR
 ${first} ${category}/bad@0 Fails 2 <time> the command ended with exit code 3: no, really
 ${second} ${category}/bad@1 Waits 0 <time> waits behind the event that failed
`,
  )
  const [failed] = await meow.parked(name)
  assert.match(failed!.error!, /^the command ended with exit code 3: no, really\s*$/, 'and no stack')
  const refused = await cli(['reset', name, 'start', ...store])
  assert.equal([refused.code, refused.stdout], [1, ''])
  assert.match(refused.stderr, /^meowmx: "\w+" has parked events, which a reset forgets: .*meowmx replay/)
  const replay = await cli(['replay', name, '--stream', 'bad', ...store])
  assert.equal(replay, {
    code: 0,
    stdout: `2 events were put back: "${name}" handles them next\n`,
    stderr: '',
  })
  const replayed = await cli(['worker', name, '--exec', 'cat', '--once', ...store])
  assert.equal([replayed.code, replayed.stdout], [0, `${json[0]}\n${json[1]}\n`])
  const { position } = await infoOf(name)
  const list = await cli(['subscriptions', name, ...store])
  assert.is(
    list.stdout.replaceAll(/ +/g, ' '),
    `NAME STATUS CONSUMES POSITION LAG HELD BACK PARKED OWNED EXECUTORS\n${name} stopped ${category} ${position} 0 - - 0 of 1 -\n`,
  )
})

test('told to end, it waits for a command no longer than --stop-timeout-ms, and ends it: the event comes again at once', async () => {
  const [name, category] = [uniqueName('stop'), uniqueName('cat')]
  const { position } = await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1 })
  // It ignores SIGTERM, and so do its child processes.
  const command = `trap '' TERM; echo $$ >> '${join(dir, name)}'; while true; do sleep 0.1; done`
  const limit = ['--stop-timeout-ms', '200', '--lease-ms', '600000']
  const worker = startCli(['worker', name, '--category', category, '--exec', command, ...limit, ...store])
  await until(() => written(name) !== '', { what: 'the command' })
  worker.child.kill('SIGTERM')
  const { code, stderr } = await worker.ended
  assert.is(code, 143)
  assert.match(stderr, new RegExp(`gave up waiting for the handler of position ${position} `))
  const isGone = () => {
    try {
      return !process.kill(Number(written(name)), 0)
    } catch {
      return true
    }
  }
  await until(isGone, { what: 'the command to be gone' })
  const again = await cli(['worker', name, '--once', ...store])
  assert.match(again.stdout, `${category}/a@0 T 1`)
})

test.run()
