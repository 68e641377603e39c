import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const readme = suite(
  'README: its code is an example that runs, its promises name tests that exist, as do those of SECURITY.md',
)
const root = resolve(import.meta.dirname, '..')
const text = readFileSync(join(root, 'README.md'), 'utf8')

readme('starts with exactly two commands', () => {
  for (const command of ['npm ci && npm run demo', 'npm ci && npm test']) {
    assert.ok(text.split('\n').includes(`    ${command}`), command)
  }
})

readme('every block of TypeScript stands in a file of examples/, to the letter', () => {
  const examples = readdirSync(join(root, 'examples'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(root, 'examples', file), 'utf8'))
  const blocks = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!)
  assert.ok(blocks.length > 0)
  for (const code of blocks)
    assert.ok(
      examples.some((example) => example.includes(code)),
      code,
    )
})

readme('every link leads somewhere', () => {
  const security = readFileSync(join(root, 'SECURITY.md'), 'utf8')
  const links = [...`${text}${security}`.matchAll(/\]\(([^)#]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !/^https?:/.test(link))
  assert.ok(links.length > 20)
  for (const link of links) assert.ok(existsSync(join(root, link)), link)
})

readme('every guarantee names its test', () => {
  const section = text.split('## Guarantees')[1]!.split('\n## ')[0]!
  const rows = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| what'))
  assert.ok(rows.length > 10)
  for (const row of rows) assert.match(row, /\]\(test\/[\w-]+\.test\.ts\)/)
})

readme.run()
