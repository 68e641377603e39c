/**
 * Checks that imports in src/ run one way: `node .ci/check-imports.js`. A file may import from its own folder and from
 * folders that come earlier in this list, and no two files may import each other, directly or through others. Types count.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'

/** The folders in the order of an event's way; `store.ts` to `index.ts` are files of src/ itself. */
const ORDER = [
  'core',
  'events',
  'telemetry',
  'database',
  'append',
  'notify',
  'read',
  'live',
  'subscriptions',
  'models',
  'projections',
  'timers',
  'processes',
  'store.ts',
  'engine.ts',
  'meow.ts',
  'index.ts',
  'embedded',
  'testing',
  'relay',
  'adapters',
  'http',
  'client',
  'studio',
  'cli',
]

const src = resolve(import.meta.dirname, '../src')
const nameOf = (path) => relative(src, path).split(sep).join('/')

/** Each file, with the files that it imports. */
const imports = new Map(
  readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const path = join(src, name)
      const code = readFileSync(path, 'utf8').replaceAll(/^ *(?:\*|\/\/|\/\*).*$/gm, '')
      const found = code.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*'(\.[^']+)'/g)
      return [nameOf(path), [...found].map(([, to]) => nameOf(resolve(path, '..', to)))]
    }),
)

const problems = []
const placeOf = (file) => {
  const place = ORDER.indexOf(file.split('/')[0])
  if (place < 0) problems.push(`${file} is in no folder that .ci/check-imports.js lists`)
  return place
}
for (const [file, targets] of imports)
  for (const target of targets)
    if (placeOf(target) > placeOf(file))
      problems.push(`${file} imports ${target}, which is further down the way of an event`)

/** Depth first; a file that is met again on its own path closes a circle. */
const finished = new Set()
function visit(file, path) {
  if (path.includes(file)) {
    problems.push(`these import each other: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`)
  } else if (!finished.has(file)) {
    for (const target of imports.get(file) ?? []) visit(target, [...path, file])
    finished.add(file)
  }
}
for (const file of imports.keys()) visit(file, [])

for (const problem of new Set(problems)) console.error(problem)
if (problems.length > 0) process.exitCode = 1
else console.log(`${imports.size} files import one way`)
