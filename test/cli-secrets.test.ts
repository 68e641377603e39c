// @long
// The command never prints a password that was given in the wrong place: as a command, an option, an argument or a line of
// stdin.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli } from './support/cli.ts'
import { plantsOf } from './support/plants.ts'
import { uniqueName } from './support/store.ts'

const password = uniqueName('hunter')
const plants = plantsOf(password)
const { url } = plants
const dsn = `host=127.0.0.1 port=1 password=${password}`
const AT_ONCE = 4

// Some of these words are names of files that a command writes.
const folder = await mkdtemp(join(tmpdir(), 'meowmx-words-'))
test.after(() => rm(folder, { recursive: true, force: true }))

let runs = 0
async function run(args: string[], options: Parameters<typeof cli>[1] = {}): Promise<void> {
  const { stdout, stderr } = await cli(args, { cwd: folder, ...options })
  runs++
  const found = plants.found(stdout) ?? plants.found(stderr)
  assert.is(found, undefined, `meowmx ${args.join(' ')} tells it: ${found}`)
  assert.ok(stderr.length > 0, `meowmx ${args.join(' ')} had nothing to say`)
}

async function all(cases: (() => Promise<void>)[]): Promise<void> {
  const left = [...cases]
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = left.pop(); next; next = left.pop()) await next()
    }),
  )
}

/** The names of all commands, and of what each takes. */
const commands = [...(await cli(['--help'])).stdout.matchAll(/^ {2}([a-z-]+)(?: .*)? {2,}\S/gm)]
  .map(([, name]) => name!)
  .filter((name) => name !== 'help')

/** Each command is started with one of these: starting every command with every one would take minutes. */
const oneOf = <T>(cases: readonly T[], n: number): T => cases[n % cases.length]!

test('each command, if there is no server at the address, or something else than PostgreSQL', async () => {
  assert.ok(commands.length > 15, commands.join())
  await all(
    commands
      .filter((command) => command !== 'demo' && command !== 'completion')
      .map((command, n) => {
        const words =
          command === 'append' ? ['c', 's', 'T', '{}'] : command === 'reset' ? ['s', 'start'] : ['s']
        const input = '{}\n'
        const relayed = command === 'relay' ? ['--all'] : []
        return oneOf(
          [
            () => run(['--url', url, command, '--no-such-option']),
            () => run(['--verbose', '--url', dsn, command, ...words, ...relayed], { input }),
            () =>
              run([command, ...words], {
                env: { DATABASE_URL: `${url}?sslmode=x&p%61ssword=${password}` },
                input,
              }),
          ],
          n,
        )
      }),
  )
})

test('options and arguments of each command', async () => {
  await all(
    commands.map((command, n) =>
      oneOf(
        [
          () => run([command, `--ulr=${url}`]),
          () => run([command, url, dsn, url, dsn, url, dsn, url]),
          async () => {
            const { stdout } = await cli([command, '--help'])
            const options = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+) [<[]/gm)].map(
              ([, option]) => option!,
            )
            await run([command, ...options.slice(0, 6).map((option) => `${option}=${url}`), '--nothing'])
          },
        ],
        n,
      ),
    ),
  )
})

test('unknown commands, invalid JSON, unknown options of NATS, and folders that do not exist', async () => {
  const broken = `{"password": ${password}}`
  await all([
    () => run([url]),
    () => run(['read', '--from', url]),
    () => run(['studio', '--port', url]),
    () => run(['studio', '--host', url]),
    () => run(['studio'], { env: { MEOWMX_STUDIO_TOKEN: `${password} ` } }),
    () => run(['append', 'c', 's', 'T', broken]),
    () => run(['append', 'c', 's', 'T', '{}', '--metadata', broken]),
    () => run(['append', 'c', 's', 'T', '{}', '--id', url]),
    () => run(['append', '-'], { input: `${broken}\n` }),
    () => run(['import'], { input: `${broken}\n` }),
    () => run(['import'], { input: `{"type": 1, "data": {"password": "${password}"}}\n` }),
    () => run(['import', url]),
    () => run(['relay', 'r', '--all', '--connection', broken]),
    () => run(['relay', 'r', '--all', '--nats', `nats://bob:${password}@127.0.0.1:x`]),
    () => run(['--url', url, 'relay', 'r', '--all', '--connection', `{"token": "${password}"}`]),
    () => run([`--embedded=${url}`, 'read']),
    () => run(['--embedded', 'read'], { env: { MEOWMX_EMBEDDED: url, DATABASE_URL: undefined } }),
    () => run(['--listen-url', dsn, 'stallers']),
    () => run(['--schema', url, 'stallers']),
    () =>
      run(['--verbose', 'stallers'], { env: { DATABASE_URL: undefined, PGHOST: url, PGPASSWORD: password } }),
    () => run(['subscriptions', url]),
    () => run(['parked', url]),
    () => run(['--verbose', '--json', 'reset', url, 'start']),
    () => run(['--json', 'doctor'], { env: { DATABASE_URL: url } }),
  ])
  assert.ok(runs > 50, `${runs}`)
})

test.run()
