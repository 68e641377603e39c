/**
 * A process that runs the test files that its parent names, one after another (warm-process.ts). After each file it prints a
 * line with `END`, uvu's exit code, and the CPU time of the file in seconds.
 */
import { once } from 'node:events'
import { pathToFileURL } from 'node:url'
import { END } from './judge.ts'

const global = globalThis as unknown as { UVU_DEFER: number; UVU_QUEUE: unknown[][] }
global.UVU_DEFER = 1 // suites that run are kept in UVU_QUEUE until exec()
const { exec } = await import('uvu')

const environment = { ...process.env }
for (;;) {
  const [file] = (await once(process, 'message')) as [string]
  if (file === '') break
  const begin = process.cpuUsage()
  process.exitCode = 0
  try {
    global.UVU_QUEUE.splice(0, Infinity, [null])
    await import(pathToFileURL(file).href)
    await exec()
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  }
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name]
  Object.assign(process.env, environment)
  const { user, system } = process.cpuUsage(begin)
  console.log(`${END} ${process.exitCode ?? 0} ${(user + system) / 1e6}`)
}
process.exitCode = 0
process.disconnect()
