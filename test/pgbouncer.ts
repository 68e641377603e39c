/**
 * Runs the tests through a PgBouncer in transaction mode: `node --import ./test/support/typescript.js test/pgbouncer.ts [what test/run.ts takes]`.
 * DATABASE_URL is the address of the pooler, with another database name for each file (MEOWMX_TEST_DATABASES), so that files do
 * not share connections. MEOWMX_DIRECT_URL is the address of the server, for tests that need a session. LISTEN can't pass, and
 * named statements can't before 1.21, so stores do without both. Skipped, with a word, where there is no pgbouncer.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { findPgBouncer, pools, startPgBouncer } from './support/pgbouncer.ts'
import { testServer } from './support/server.ts'
import { typescript } from './support/typescript.ts'

const program = findPgBouncer()
if (program === undefined) {
  console.log('skipped: no pgbouncer here (Debian: apt-get install pgbouncer)')
} else {
  const server = await testServer()
  const pooler = await startPgBouncer(program, server.connectionString)
  const file = new URL('run.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [...typescript, file, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: {
      ...process.env,
      DATABASE_URL: pooler.url,
      MEOWMX_DIRECT_URL: server.connectionString,
      MEOWMX_TEST_DATABASES: pools.join(),
      MEOWMX_TEST_LISTEN: 'off',
      MEOWMX_TEST_PREPARE: 'off',
    },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  const [code] = await once(child, 'exit')
  process.exitCode = code ?? 1
  await pooler.stop()
  await server.stop()
}
