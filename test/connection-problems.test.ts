// @direct
// Each way in which a connection can fail has its own message, which is true and says what to do, whatever language the server
// uses; an invalid connection string is refused without printing it.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttp } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EmbeddedPostgres } from '../src/embedded/index.ts'
import { startPostgres } from '../src/embedded/index.ts'
import type { ConnectOptions } from '../src/index.ts'
import { ConnectionError, connect, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { current } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const closers: (() => unknown)[] = [closeAll]
test.after(async () => {
  for (const close of closers.reverse()) await close()
})

/** What `connect` says. */
async function said(options: ConnectOptions): Promise<string> {
  const error = await rejects(connect({ queryTimeoutMs: 5_000, ...options }), ConnectionError)
  assert.not.match(error.message, 's3cret')
  return error.message
}

const mistakes: [text: string, words: string][] = [
  ['jdbc:postgresql://h:5432/db?user=u&password=s3cret', 'JDBC'],
  ['JDBC:postgresql://u:s3cret@h/db', 'JDBC'],
  ['"postgres://u:s3cret@h/db"', 'quotes'],
  [`'postgres://u:s3cret@h/db'`, 'quotes'],
  [' postgres://u:s3cret@h/db', 'blank'],
  ['postgres://u:s3cret@h/db ', 'blank'],
  ['postgres://u:s3cret@h/db\n', 'blank'],
  ['host=h dbname=d password=s3cret', 'name=value'],
  ['dbname=d host=h password=s3cret', 'name=value'],
  [`user='u' password='s3cret'`, 'name=value'],
  ['postgresql+asyncpg://u:s3cret@h/db', 'driver'],
  ['postgres+psycopg2://u:s3cret@h/db', 'driver'],
  ['http://u:s3cret@h:5432/db', 'scheme'],
  ['mysql://u:s3cret@h/db', 'scheme'],
  ['mongodb+srv://u:s3cret@h/db', 'scheme'],
  ['prisma+postgres://h/?api_key=s3cret', 'scheme'],
  ['pgsqlite://u:s3cret@h/db', 'scheme'],
  ['localhost:5432/db', 'does not begin with postgres://'],
  ['u:s3cret@h:5432/db', 'does not begin with postgres://'],
  ['//u:s3cret@h/db', 'does not begin with postgres://'],
  ['mydb', 'does not begin with postgres://'],
  ['$DATABASE_URL', 'does not begin with postgres://'],
  ['undefined', 'does not begin with postgres://'],
  ['postgres:/u:s3cret@h/db', 'two slashes'],
  ['postgresql:h', 'two slashes'],
  ['pgsql:u:s3cret@h/db', 'two slashes'],
  ['postgres://u:s3#cret@h/db', 'percent-encoded'],
  ['', 'empty'],
]
for (const [text, words] of mistakes) {
  test(`${JSON.stringify(text).replace('s3cret', '…')} is no connection string`, async () => {
    for (const option of ['connectionString', 'listenConnectionString'] as const) {
      const error = await rejects(connect({ [option]: text }), ValidationError)
      assert.is(error.path, `options.${option}`)
      assert.match(error.message, words)
      assert.not.match(error.message + JSON.stringify(error), /s3cret|s3#cret/)
    }
  })
}

test("other schemes of servers that speak PostgreSQL's protocol are taken, as pg takes them", async () => {
  const { href, host } = new URL(databaseUrl())
  for (const scheme of ['pgsql', 'postgis', 'cockroachdb', 'PG', 'psql', 'redshift', 'timescale']) {
    const own = href.replace(/^postgres(ql)?:/, `${scheme}:`)
    const list = own.replace(host, `127.0.0.1:1,${host}`)
    for (const connectionString of [own, list]) {
      const meow = await openStore({ connectionString, listenConnectionString: connectionString })
      await until(() => current(meow.status$).state !== 'reconnecting', { what: `a listener by ${scheme}` })
      assert.equal(await meow.load({ category: uniqueName('scheme'), streamId: '1' }), [])
      await meow.close()
    }
  }
})

test('application_name of an address or of the environment does not replace ours', async () => {
  const mark = uniqueName('name')
  const address = new URL(databaseUrl())
  address.searchParams.set('application_name', mark)
  address.searchParams.set('fallback_application_name', mark)
  const { PGAPPNAME } = process.env
  process.env.PGAPPNAME = mark
  try {
    const meow = await openStore({ connectionString: address.href })
    const listening = meow.events({}).subscribe()
    const sql = await pgClient({ application_name: 'test' })
    const names = async () => {
      const { rows } = await sql.query('select distinct application_name as name from pg_stat_activity')
      return rows.map(({ name }) => name as string)
    }
    await until(async () => (await names()).some((name) => name.startsWith('meowmx listener ')), {
      what: 'the listener',
    })
    assert.not((await names()).includes(mark))
    listening.unsubscribe()
  } finally {
    if (PGAPPNAME === undefined) delete process.env.PGAPPNAME
    else process.env.PGAPPNAME = PGAPPNAME
  }
})

/** Starts a server that greets each connection and answers its first message. Returns the address. */
async function answering(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  closers.push(() => {
    server.close()
    ;(server as any).closeAllConnections?.()
  })
  return `postgres://u:s3cret@127.0.0.1:${(server.address() as AddressInfo).port}/db`
}

const fake = (greet: (socket: Socket) => void, answer?: (socket: Socket) => void) =>
  answering(
    createServer((socket) => {
      socket.on('error', () => {})
      greet(socket.unref())
      socket.once('data', () => answer?.(socket))
    }),
  )

test('what does not speak the protocol, or does not answer', async () => {
  const http = await answering(createHttp((_, response) => void response.end()))
  assert.match(await said({ connectionString: http }), /port/)
  assert.match(
    await said({ connectionString: `${http}?sslmode=require` }),
    "does not speak PostgreSQL's protocol",
  )
  const mysql = await fake((socket) => socket.write(Buffer.from('4a0000000a382e302e33360008000000', 'hex')))
  assert.match(await said({ connectionString: mysql }), "does not speak PostgreSQL's protocol")
  const mute = await fake(() => {})
  assert.match(await said({ connectionString: mute, queryTimeoutMs: 500 }), 'nothing answers there')
  assert.match(await said({ connectionString: 'postgres://127.0.0.1:1/db' }), 'check that it runs')
  assert.match(
    await said({ connectionString: 'postgres://nowhere.invalid/db' }),
    /nowhere\.invalid.*(DNS|host's name)/,
  )
  assert.match(
    await said({ connectionString: 'postgresql:///db?host=/nowhere' }),
    'no socket /nowhere/.s.PGSQL',
  )
})

/** A server that refuses with these fields, as one that does not speak English does. */
function refusing(code: string, routine: string): Promise<string> {
  const fields = `SFATALE\0VFATAL\0C${code}\0Mnon è possibile\0R${routine}\0\0`
  const body = Buffer.from(fields)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(body.length + 4, 1)
  return fake(
    () => {},
    (socket) => socket.end(Buffer.concat([head, body])),
  )
}

for (const [code, routine, words] of [
  ['57P03', 'ProcessStartupPacket', /try again in a moment/],
  ['53300', 'InitProcess', /max_connections/],
  ['3D000', 'InitPostgres', /PGDATABASE/],
  ['28P01', 'auth_failed', /check user and password.*expired/],
  ['28000', 'ClientAuthentication', /pg_hba\.conf.*sslmode=require/],
  ['28000', 'InitializeSessionUserId', /alter role … login/],
  ['28000', 'auth_failed', /pg_hba\.conf/],
  ['42501', 'CheckMyDatabase', /grant connect on database/],
  ['55000', 'CheckMyDatabase', /allow_connections/],
] as const) {
  test(`${code} of ${routine}, in another language`, async () => {
    const message = await said({ connectionString: await refusing(code, routine) })
    assert.match(message, words)
    assert.match(message, 'non è possibile')
  })
}

/** A server with TLS, whose pg_hba.conf says how these roles get in. */
async function guarded(directory: string, certificate: string, days: number): Promise<EmbeddedPostgres> {
  const at = (name: string) => join(directory, `${certificate}.${name}`)
  const made = spawnSync(
    'openssl',
    `req -x509 -newkey rsa:2048 -nodes -keyout ${at('key')} -out ${at('crt')} -subj /CN=${certificate} -addext subjectAltName=DNS:${certificate} -days ${days}`.split(
      ' ',
    ),
  )
  assert.is(made.status, 0, String(made.stderr))
  await chmod(at('key'), 0o600)
  await writeFile(
    at('hba'),
    `host all postgres 127.0.0.1/32 trust
host all scram,expired 127.0.0.1/32 scram-sha-256
hostssl all tls 127.0.0.1/32 trust
host all nologin,nobody,barred 127.0.0.1/32 trust
`,
  )
  const server = await startPostgres({
    settings: {
      fsync: false,
      ssl: true,
      ssl_cert_file: at('crt'),
      ssl_key_file: at('key'),
      hba_file: at('hba'),
    },
  })
  closers.push(() => server.stop())
  return server
}

function sealed(): string {
  throw new TypeError('the vault is sealed')
}

const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const securing = unless(hasOpenssl ? '' : 'there is no openssl here', test)

securing('logins and certificates, by a real server', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'meowmx-tls-'))
  closers.push(() => rm(directory, { recursive: true, force: true }))
  const { connectionString } = await guarded(directory, 'elsewhere.example', 1)
  const sql = await pgClient({ connectionString })
  await sql.query(`create role scram login password 's3cret'; create role tls login; create role nologin;
    create role expired login password 's3cret' valid until '2001-01-01'; create role barred login`)
  await sql.query('create database closed')
  await sql.query(`revoke connect on database closed from public`)
  const as = (user: string, password = '', more = '') => {
    const url = new URL(connectionString)
    url.username = user
    url.password = password
    return url.href + more
  }
  assert.match(await said({ connectionString: as('scram', 'wrong') }), 'check user and password')
  assert.match(await said({ connectionString: as('expired', 's3cret') }), 'expired')
  assert.match(await said({ connectionString: as('scram') }), 'none is given')
  assert.match(await said({ connectionString: as('nologin') }), 'alter role … login')
  assert.match(await said({ connectionString: as('nobody') }), 'create role … login')
  assert.match(await said({ connectionString: as('tls') }), 'sslmode=require')
  assert.match(await said({ connectionString: as('stranger') }), 'pg_hba.conf')
  assert.match(await said({ connectionString: as('barred').replace(/postgres$/, 'closed') }), 'grant connect')
  assert.match(
    await said({ connectionString: as('tls', '', '?sslmode=require') }),
    /not signed by.*sslrootcert/,
  )
  const { PGSSLMODE } = process.env
  process.env.PGSSLMODE = 'require'
  try {
    assert.match(await said({ connectionString: as('tls') }), /not signed by.*sslrootcert/)
  } finally {
    if (PGSSLMODE === undefined) delete process.env.PGSSLMODE
    else process.env.PGSSLMODE = PGSSLMODE
  }
  const root = `sslrootcert=${join(directory, 'elsewhere.example.crt')}`
  assert.match(
    await said({ connectionString: as('tls', '', `?sslmode=verify-full&${root}`) }),
    'another host name',
  )
  await (await connect({ connectionString: as('tls', '', '?sslmode=no-verify') })).close()
  const missing = connect({ connectionString: as('tls', '', '?sslmode=require&sslrootcert=/nowhere.crt') })
  assert.match((await rejects(missing, ValidationError)).message, 'a file that it names is not there')

  const { hostname: host, port } = new URL(connectionString)
  for (const [password, words] of [
    [sealed, 'the function that gives the password failed: the vault is sealed'],
    [async () => sealed(), 'the function that gives the password failed: the vault is sealed'],
    [() => 7 as unknown as string, 'the function that gives the password failed: Password must be a string'],
    [() => undefined as unknown as string, 'none is given'],
  ] as const) {
    const pool = new pg.Pool({ host, port: Number(port), user: 'scram', database: 'postgres', password })
    assert.match(await said({ pool }), words)
    await pool.end()
  }
})

test('a server without TLS', async () => {
  const plain = await fake(
    () => {},
    (socket) => socket.end('N'),
  )
  assert.match(await said({ connectionString: `${plain}?sslmode=require` }), /does not offer TLS.*sslmode/)
})

test.run()
