import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const readme = suite(
  'README and guide: their code is of examples that run, their links lead somewhere, promises name tests that exist',
)
const root = resolve(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const filesOf = (folder: string, end: string) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(end))
    .map((file) => join(folder, file))
const text = read('README.md')
const pages = ['README.md', ...filesOf('examples/guide', '.md')]
const documents = [...pages, 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md']

/** Where GitHub puts the headings of a page. */
const anchors = (file: string) =>
  [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

readme('starts with exactly two commands', () => {
  for (const command of ['npm ci && npm run demo', 'npm ci && npm test']) {
    assert.ok(text.split('\n').includes(`    ${command}`), command)
  }
})

for (const page of pages)
  readme(`${page}: every block of TypeScript stands in a file of examples/, to the letter`, () => {
    const examples = filesOf('examples', '.ts').map(read)
    const blocks = [...read(page).matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!)
    assert.ok(page !== 'README.md' || blocks.length > 0)
    for (const code of blocks)
      assert.ok(
        examples.some((example) => example.includes(code)),
        code,
      )
  })

for (const document of documents)
  readme(`${document}: every link leads somewhere`, () => {
    const links = [...read(document).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !/^https?:/.test(link))
    assert.ok(document !== 'README.md' || links.length > 20)
    for (const link of links) {
      const [path, anchor] = link.split('#') as [string, string?]
      const target = path ? join(dirname(document), path) : document
      assert.ok(existsSync(join(root, target)), link)
      if (anchor) assert.ok(anchors(target).includes(anchor), link)
    }
  })

readme('the guide names each of its pages', () => {
  const index = read('examples/guide/README.md')
  for (const page of pages.slice(1))
    if (basename(page) !== 'README.md') assert.match(index, `](${basename(page)})`)
})

readme('every guarantee names its test', () => {
  const section = text.split('## Guarantees')[1]!.split('\n## ')[0]!
  const rows = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| what'))
  assert.ok(rows.length > 10)
  for (const row of rows) assert.match(row, /\]\(test\/[\w-]+\.test\.ts\)/)
})

readme.run()
