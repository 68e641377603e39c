import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as library from '../src/index.ts'
import * as relay from '../src/relay/index.ts'

const readme = suite(
  'README and guide: their code is part of examples that run, their links lead to something, each promise names a test',
)
const root = resolve(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const filesOf = (folder: string, end: string) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(end))
    .map((file) => join(folder, file))

/** All files in Markdown, except those of other packages and those that are built. */
function documentsIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory())
      return /^(node_modules|dist|coverage|\.git)$/.test(entry.name) ? [] : documentsIn(path)
    return entry.name.endsWith('.md') ? [path] : []
  })
}

const text = read('README.md')
const guide = filesOf('examples/guide', '.md')
const pages = ['README.md', ...guide]
const documents = documentsIn('')

/** A page without its blocks of code, in which neither headings nor links are meant. */
const prose = (file: string) => read(file).replaceAll(/^ *```.*?^ *```/gms, '')

/** Where GitHub puts the headings of a page. */
const anchors = (file: string) =>
  [...prose(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

/** What a page links to in this repository. */
const linksOf = (file: string) =>
  [...prose(file).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !/^https?:/.test(link))

readme('starts with exactly two commands', () => {
  for (const command of ['npm ci && npm run demo', 'npm ci && npm test']) {
    assert.ok(text.split('\n').includes(`    ${command}`), command)
  }
})

readme('has at most 200 lines', () => {
  assert.ok(text.split('\n').length <= 200, `${text.split('\n').length} lines`)
})

for (const page of pages)
  readme(`${page}: every block of TypeScript is part of a file in examples/, to the letter`, () => {
    const examples = ['examples', 'examples/jetstream'].flatMap((folder) => filesOf(folder, '.ts')).map(read)
    const blocks = [...read(page).matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!)
    assert.ok(page !== 'README.md' || blocks.length > 0)
    for (const code of blocks)
      assert.ok(
        examples.some((example) => example.includes(code)),
        code,
      )
  })

readme('every document is found', () => {
  for (const document of [...pages, 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'test/siege/README.md'])
    assert.ok(documents.includes(document), document)
})

for (const document of documents)
  readme(`${document}: every link leads to a file and a heading that exist`, () => {
    const links = linksOf(document)
    assert.ok(document !== 'README.md' || links.length > 20)
    for (const link of links) {
      const [path, anchor] = link.split('#') as [string, string?]
      const target = path ? join(dirname(document), path) : document
      assert.ok(existsSync(join(root, target)), link)
      if (anchor) assert.ok(anchors(target).includes(anchor), link)
    }
  })

readme('README and the index of the guide link to each page of the guide', () => {
  const index = linksOf('examples/guide/README.md')
  for (const page of guide) {
    assert.ok(linksOf('README.md').includes(page), `README.md: ${page}`)
    if (basename(page) !== 'README.md') assert.ok(index.includes(basename(page)), `index: ${page}`)
  }
})

readme('every guarantee names its test', () => {
  const rows = read('examples/guide/guarantees.md')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| promise'))
  assert.ok(rows.length > 50)
  for (const row of rows) assert.match(row, /\]\(\.\.\/\.\.\/test\/[\w-]+\.test\.ts\)/)
})

readme('the guide explains every error', () => {
  const errors = read('examples/guide/errors.md')
  const classes = Object.entries({ ...library, ...relay }).filter(([name]) => name.endsWith('Error'))
  assert.ok(classes.length > 10)
  for (const [name] of classes) assert.ok(errors.includes(`\`${name}\``), name)
})

readme.run()
