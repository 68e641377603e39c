import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as assert from 'uvu/assert'
import { seeded } from './random.ts'
import { openStore, pgClient, uniqueName } from './store.ts'
import { program } from './typescript.ts'
import { until } from './until.ts'

/** Runs close-often.ts, which has to end by itself, and looks for connections that it left behind. */
export async function closeOften(faults: string, rounds: number): Promise<void> {
  const { seed } = seeded(faults)
  const schema = uniqueName('close')
  const store = await openStore({ schema })
  // Enough to be still catching up.
  await store.append({ category: 'close', streamId: '1' }, Array(5_000).fill({ type: 'Happened', data: {} }))
  await store.close()
  const file = new URL('close-often.ts', import.meta.url).pathname
  const args = [...program(file), String(seed), schema, String(rounds), faults]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const pipe of [child.stdout, child.stderr])
    pipe.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  const late = setTimeout(() => child.kill('SIGKILL'), 120_000)
  const [code, signal] = await once(child, 'exit')
  clearTimeout(late)
  assert.equal([code, signal], [0, null], `SEED=${seed}: ${output}`)
  const sql = await pgClient()
  const left = async () => {
    const { rows } = await sql.query(
      'select application_name from pg_stat_activity where application_name = any ($1)',
      [[`meowmx ${schema}`, `meowmx listener ${schema}`]],
    )
    return rows
  }
  await until(async () => (await left()).length === 0, {
    what: `the connections after fault ${faults} to be gone`,
  })
}
