/**
 * Runs the tests where pg lacks what our own queries need, so that pg runs all queries in its own way:
 * `npm run test:plain [-- what test/run.ts takes]`.
 */
import { spawnSync } from 'node:child_process'
import { typescript } from './support/typescript.ts'

const [plain, run] = ['support/plain.js', 'run.ts'].map((file) => new URL(file, import.meta.url))
const env = { ...process.env, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import ${plain!.href}` }
const { status } = spawnSync(process.execPath, [...typescript, run!.pathname, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env,
})
process.exitCode = status ?? 1
