// @direct
// A login that a server refuses is one ConnectionError that says why and holds no password, in whatever language the server speaks.
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startPostgres } from '../src/embedded/index.ts'
import { ConnectionError, connect } from '../src/index.ts'
import { startForeignProxy } from './support/foreign-tongue.ts'
import { rejects } from './support/rejects.ts'

const PASSWORD = 's3cret'
const directory = await mkdtemp(join(tmpdir(), 'meowmx-logins-'))
const dataDir = join(directory, 'data')
const first = await startPostgres({ dataDir, settings: { fsync: false } })
const admin = new pg.Client({ connectionString: first.connectionString })
await admin.connect()
await admin.query(`create role app login password '${PASSWORD}';
  create role expired login password '${PASSWORD}' valid until '2001-01-01';
  create role without login;
  create role group_only password '${PASSWORD}' nologin`)
await admin.end()
await first.stop()
// As servers are set up that ask for passwords: for all but the superuser.
const hba = join(dataDir, 'pg_hba.conf')
assert.match(await readFile(hba, 'utf8'), 'trust')
await writeFile(hba, 'host all postgres all trust\nhost all barred all reject\n')
await appendFile(hba, 'host all all all scram-sha-256\n')
const server = await startPostgres({ dataDir, settings: { fsync: false } })
const foreign = await startForeignProxy(server.connectionString)
test.after(async () => {
  await foreign.close()
  await server.stop()
  await rm(directory, { recursive: true, force: true })
})

const refused: [user: string, password: string | undefined, words: RegExp][] = [
  ['app', 'wr0ng', /refused the login.*check user and password/],
  ['app', undefined, /asks for a password, and none is given/],
  ['app', '', /asks for a password, and none is given/],
  ['nobody', PASSWORD, /refused the login.*check user and password/],
  ['expired', PASSWORD, /refused the login.*expired/],
  ['without', PASSWORD, /refused the login.*check user and password/],
  ['group_only', PASSWORD, /refused the login.*role … login/],
  ['barred', PASSWORD, /lets nobody in this way.*pg_hba\.conf/],
]
const tongues = { English: server.connectionString, 'another language': foreign.url }
for (const [tongue, address] of Object.entries(tongues))
  for (const [user, password, words] of refused)
    test(`${user} with ${password === PASSWORD ? 'its password' : `"${password}"`}, in ${tongue}`, async () => {
      const url = new URL(address)
      url.username = user
      if (password) url.password = password
      const logged: unknown[] = []
      const log = (...args: unknown[]) => void logged.push(args)
      const logger = { debug: log, info: log, warn: log, error: log }
      const connectionString = url.href
      for (const listen of [true, false]) {
        const error = await rejects(connect({ connectionString, logger, listen }), ConnectionError)
        assert.is(error.code, 'ERR_CONNECTION')
        assert.match(error.message, words)
        for (const text of [
          error.message,
          error.stack,
          JSON.stringify([error, error.cause]),
          inspect(logged),
        ])
          assert.not.match(String(text), /s3cret|wr0ng/)
      }
    })

test('with its password it is let in', async () => {
  for (const address of Object.values(tongues)) {
    const url = new URL(address)
    ;[url.username, url.password] = ['app', PASSWORD]
    const meow = await connect({ connectionString: url.href })
    await meow.close()
  }
})

test.run()
