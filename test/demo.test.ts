// @direct
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { typescript } from './support/typescript.ts'
import { until } from './support/until.ts'

const demo = suite('demo: many processes, one killed, and the result is right')
const main = resolve(import.meta.dirname, '../examples/demo/main.ts')

function start(env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [...typescript, main], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DEMO_FLIGHTS: '4000', ...env },
  })
}

async function run(env: NodeJS.ProcessEnv): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = start(env)
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'exit'),
  ])
  return { code, stdout, stderr }
}

async function schemas(): Promise<string[]> {
  const client = new pg.Client(process.env.DATABASE_URL)
  await client.connect()
  const sql = `select nspname from pg_namespace where nspname like 'meowmx\\_demo\\_%'`
  return (await client.query({ text: sql, rowMode: 'array' }).finally(() => client.end())).rows.flat()
}

async function assertDropped(stdout: string): Promise<void> {
  const schema = /schema (meowmx_demo_\w+)/.exec(stdout)![1]!
  const left = (await schemas()).filter((name) => name.startsWith(schema))
  assert.equal(left, [], `${left} is left behind`)
}

/** Process ids of the demo's processes of this test only: they have the schema in their environment. */
function processes(schema: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return readFileSync(join('/proc', pid, 'environ'), 'utf8').includes(`DEMO_SCHEMA=${schema}\0`)
    } catch {
      return false // it is not a process, or has ended
    }
  })
}

/** The schema of the demo that runs, once its four processes do. */
async function atWork(): Promise<string> {
  const condition = async () => (await schemas()).find((name) => processes(name).length === 4)
  return (await until(condition, { what: 'executors and writer' })) as string
}

demo(
  'version 2 takes over while flights come in, another executor takes over, and the read model is right',
  async () => {
    const { code, stdout, stderr } = await run({})
    assert.is(code, 0, stdout + stderr)
    assert.is(stderr, '')
    const killed = /pid (\d+) killed \(SIGKILL\)/.exec(stdout)?.[1]
    const heir = /pid (\d+) took over \d+\.\d s after the kill/.exec(stdout)?.[1]
    assert.ok(killed && heir && killed !== heir, stdout)
    assert.match(stdout, /^ {2}appended +4,000 flights/m)
    assert.match(stdout, /^ {2}push latency +p50 \d+(\.\d)? ms, p99 \d+(\.\d)? ms/m)
    const [, flight] =
      /^ {2}switch +version 2 was built in \d+\.\d s and took over at flight ([\d,]+)$/m.exec(stdout)!
    assert.ok(Number(flight!.replace(',', '')) < 4_000, stdout)
    assert.match(stdout, /^ {2}EQUAL: the read model agrees with the file in all \d+ airports$/m)
    await assertDropped(stdout)
  },
)

demo('a read model that differs from the file is found, and named', async () => {
  const { code, stdout, stderr } = await run({ DEMO_BREAK: '1' })
  assert.is(code, 1, stdout + stderr)
  assert.match(
    stdout,
    /^ {2}DIFFERENT +DTW: file \d+ departures, delay -?\d+ min, at most \d+ min; read model \d+ departures/m,
  )
  assert.match(stdout, /^ {2}1 of \d+ airports differ between read model and file$/m)
  assert.not.match(stdout, 'EQUAL')
  await assertDropped(stdout)
})

demo('Ctrl-C, even twice at once as npm sends it, leaves no process and no schema', async () => {
  const child = start()
  const [stdout, stderr] = [text(child.stdout!), text(child.stderr!)]
  const schema = await atWork()
  child.kill('SIGINT')
  child.kill('SIGINT')
  const [code] = await once(child, 'exit')
  assert.is(code, 130, (await stdout) + (await stderr))
  assert.match(await stderr, 'interrupted by SIGINT')
  assert.equal(processes(schema), [])
  await assertDropped(await stdout)
})

demo('its processes end with it, however it ends', async () => {
  const child = start()
  const schema = await atWork()
  child.kill('SIGKILL')
  await until(() => processes(schema).length === 0, { what: 'the end of all processes' })
  const client = new pg.Client(process.env.DATABASE_URL)
  await client.connect()
  await client.query(
    `set client_min_messages = warning; drop schema ${(await schemas()).filter((name) => name.startsWith(schema)).join(', ')} cascade`,
  )
  await client.end()
})

demo.run()
