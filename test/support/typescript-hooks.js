import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const hashOf = (text) => createHash('sha1').update(text).digest('hex')
/** Another one for each version of this file: it decides what is kept there. */
const version = hashOf(readFileSync(fileURLToPath(import.meta.url))).slice(0, 8)
const folder = join(tmpdir(), `meowmx-typescript-${userInfo().uid}-${version}`)

/** Node calls this for each module it loads. */
export async function load(url, context, nextLoad) {
  if (!/^file:.*\.ts$/.test(url)) return nextLoad(url, context)
  return { format: 'module', shortCircuit: true, source: await strip(fileURLToPath(url)) }
}

/** The file without its types. What was made of a text once is kept in a file that is named after its hash. */
async function strip(path) {
  const text = readFileSync(path, 'utf8')
  const kept = join(folder, `${hashOf(text)}.js`)
  try {
    return readFileSync(kept)
  } catch {
    const code = await withoutTypes(text, path)
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${kept}.${process.pid}`, code) // written aside first: another process may be reading
    renameSync(`${kept}.${process.pid}`, kept)
    return code
  }
}

async function withoutTypes(text, filename) {
  if (/\busing \w+ =/.test(text)) {
    // Node 20 does not know `using` either. Lines change, which matters only to whoever reads a stack trace of these files.
    const { transform } = await import('esbuild')
    return (await transform(text, { loader: 'ts', target: 'node20' })).code
  }
  const { default: swc } = await import('@swc/wasm-typescript')
  return swc.transformSync(text, { mode: 'strip-only', filename }).code
}
