// @direct
// Connection strings that list several servers, in libpq's format.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { mayWorkElsewhere, noServerError, ReadOnlyError, Servers } from '../src/database/servers.ts'
import { connect, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, uniqueName } from './support/store.ts'

test.after(closeAll)

/** All, in their order. */
function all(text?: string) {
  const servers = new Servers(text)
  const found = []
  for (let n = 0; n < servers.count; n++) {
    found.push(servers.current.connectionString ?? servers.current)
    servers.moveOn(servers.current)
  }
  return found
}

const lists: [text: string, servers: string[], writable: boolean][] = [
  ['postgres://h/db', ['postgres://h/db'], false],
  ['postgres://h1,h2/db', ['postgres://h1/db', 'postgres://h2/db'], false],
  [
    'postgres://u:p%40,w@h1:5432,[::1]:5433/db?target_session_attrs=read-write&application_name=x',
    [
      'postgres://u:p%40,w@h1:5432/db?application_name=x',
      'postgres://u:p%40,w@[::1]:5433/db?application_name=x',
    ],
    true,
  ],
  ['postgresql://h/db?target_session_attrs=primary', ['postgresql://h/db'], true],
  ['postgresql://h1,h2?target_session_attrs=any', ['postgresql://h1', 'postgresql://h2'], false],
  [
    'postgresql://u@/db?host=h1,h2&port=5432,5433',
    ['postgresql://u@/db?host=h1&port=5432', 'postgresql://u@/db?host=h2&port=5433'],
    false,
  ],
  [
    'postgresql:///db?host=%2Ftmp,h2&port=5433',
    ['postgresql:///db?host=%2Ftmp&port=5433', 'postgresql:///db?host=h2&port=5433'],
    false,
  ],
  ['/var/run/postgresql db', ['/var/run/postgresql db'], false],
]
for (const [text, servers, writable] of lists) {
  test(`${text}: ${servers.length}`, () => {
    assert.equal(all(text), servers)
    assert.is(new Servers(text).writable, writable)
  })
}

const bad: [text: string, words: string][] = [
  ['postgres://u:secret@h1,,h2/db', 'no name'],
  ['postgres://u:secret@h1,/db', 'no name'],
  ['postgres://u:secret@h1,:5433/db', 'no name'],
  ['postgres://u:secret@h1:x,h2/db', 'Invalid URL'],
  ['postgres://u:secret@h1:99999,h2/db', 'Invalid URL'],
  ['postgres://u:secret@h1,h2/db?target_session_attrs=standby', 'any, read-write, primary'],
  ['postgres://u:secret@h1,h2/db?target_session_attrs=', 'any, read-write, primary'],
  ['postgres://u:secret@/db?host=h1,h2,h3&port=1,2', '3 hosts, but 2 ports'],
  ['postgres:///db?user=u&password=secret&host=h1,h2&port=x', 'is no port'],
]
for (const [connectionString, words] of bad) {
  test(`${connectionString.replace('secret', '…')} is refused, and its password not printed`, async () => {
    for (const options of [{ connectionString }, { listenConnectionString: connectionString }]) {
      const error = await rejects(connect(options), ValidationError)
      assert.is(error.path, `options.${Object.keys(options)[0]}`)
      assert.match(error.message, words)
      assert.not.match(error.message, 'secret')
      assert.not.match(JSON.stringify(error), 'secret')
    }
  })
}

test('PGHOST and PGPORT list servers too', async () => {
  const { PGHOST, PGPORT, PGTARGETSESSIONATTRS } = process.env
  const restore = { PGHOST, PGPORT, PGTARGETSESSIONATTRS }
  try {
    Object.assign(process.env, { PGHOST: 'h1,h2', PGPORT: '5433', PGTARGETSESSIONATTRS: 'read-write' })
    assert.equal(all(), [
      { host: 'h1', port: 5433 },
      { host: 'h2', port: 5433 },
    ])
    assert.is(new Servers().writable, true)
    process.env.PGPORT = '1,2,3'
    const error = await rejects(connect(), ValidationError)
    assert.match(error.message, 'PGHOST with PGPORT')
    assert.match(error.message, '2 hosts, but 3 ports')
  } finally {
    for (const [name, value] of Object.entries(restore)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
})

test('whose turn it is', () => {
  const servers = new Servers('postgres://h1,h2/db')
  const first = servers.current
  servers.moveOn(first)
  servers.moveOn(first) // by another who failed at the same time
  assert.is(servers.current.connectionString, 'postgres://h2/db')
  servers.moveOn(servers.current)
  assert.is(servers.current, first)
})

test('a refused login is taken at its word; what none of them says is all told', () => {
  const fatal = (code: string) => Object.assign(new Error('no'), { severity: 'FATAL', code })
  assert.equal(
    ['57P03', '53300', '28P01', '3D000'].map((code) => mayWorkElsewhere(fatal(code))),
    [true, true, false, false],
  )
  assert.ok(mayWorkElsewhere(new ReadOnlyError('x')))
  const error = noServerError([
    [{ connectionString: 'postgres://u:secret@h1/db' }, new Error('down')],
    [{ connectionString: 'postgres://u:secret@h2:5433/db' }, new ReadOnlyError('a standby')],
  ])
  assert.is(error.message, 'h1:5432: down; h2:5433: a standby')
  assert.instance(error, ReadOnlyError)
})

test('a store by a list whose first server is not there, listener and all', async () => {
  const url = new URL(databaseUrl())
  const list = url.href.replace(url.host, `127.0.0.1:1,${url.hostname}:${url.port || 5432}`)
  const meow = await openStore({ connectionString: list })
  const stream = { category: uniqueName('listed'), streamId: '1' }
  assert.is((await meow.append(stream, { type: 'T', data: 1 })).version, 0)
  const none = list.replace(/:1,.*?\//, ':1,127.0.0.1:2/')
  const error = await connect({ connectionString: none }).catch((error) => error)
  assert.is(error.code, 'ERR_CONNECTION')
  for (const words of ['127.0.0.1:1:', '127.0.0.1:2:', 'ECONNREFUSED']) assert.match(error.message, words)
})

test.run()
