// @direct
// An editor shows the documentation of every public method of a store, of each kind of store.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Meow } from '../src/index.ts'
import { memoryStore } from '../src/testing/index.ts'

const root = resolve(import.meta.dirname, '..')
const INTERNAL = ['constructor', 'loadPage', 'follow', 'use'] // `@internal`: they are not in the published types
const methods = Object.getOwnPropertyNames(Meow.prototype).filter((name) => !INTERNAL.includes(name))

const folder = mkdtempSync(join(tmpdir(), 'meowmx-docstrings-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

/** What the language server of TypeScript answers for the end of each line of a program. */
async function hovers(program: readonly string[]): Promise<string[]> {
  const exe = execFileSync(process.execPath, [
    '--input-type=module',
    '-e',
    `import path from ${JSON.stringify(pathToFileURL(join(root, 'node_modules/typescript/lib/getExePath.js')).href)}
    console.log(path())`,
  ])
  const server = spawn(String(exe).trim(), ['--lsp', '--stdio'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const answers = new Map<number, (result: any) => void>()
  const send = (message: object) => {
    const text = JSON.stringify({ jsonrpc: '2.0', ...message })
    server.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
  }
  const ask = (method: string, params: object) =>
    new Promise<any>((resolve) => {
      const id = answers.size + 1
      answers.set(id, resolve)
      send({ id, method, params })
    })
  let received = Buffer.alloc(0)
  server.stdout.on('data', (data) => {
    received = Buffer.concat([received, data])
    for (;;) {
      const end = received.indexOf('\r\n\r\n')
      const length = Number(
        /Content-Length: (\d+)/i.exec(received.toString('utf8', 0, Math.max(end, 0)))?.[1],
      )
      if (end < 0 || received.length < end + 4 + length) return
      const { id, method, result } = JSON.parse(received.toString('utf8', end + 4, end + 4 + length))
      received = received.subarray(end + 4 + length)
      if (method && id !== undefined) send({ id, result: null })
      else if (!method) answers.get(id)!(result)
    }
  })
  const uri = pathToFileURL(join(folder, 'program.ts')).href
  const capabilities = { textDocument: { hover: { contentFormat: ['markdown'] } } }
  try {
    await ask('initialize', { processId: process.pid, rootUri: pathToFileURL(folder).href, capabilities })
    send({ method: 'initialized', params: {} })
    const text = program.join('\n')
    send({
      method: 'textDocument/didOpen',
      params: { textDocument: { uri, languageId: 'typescript', version: 1, text } },
    })
    const shown: string[] = []
    for (const [line, { length }] of program.entries()) {
      const position = { line, character: length - 1 }
      const hover = await ask('textDocument/hover', { textDocument: { uri }, position })
      shown.push(hover?.contents?.value ?? '')
    }
    return shown
  } finally {
    server.stdin.destroy()
    server.kill()
  }
}

test('each method has a documentation that an editor shows', async () => {
  const dist = pathToFileURL(join(root, 'dist')).pathname
  const shared = Object.keys(memoryStore()).filter((name) => name !== 'advance')
  assert.ok(methods.length >= 50 && shared.length > 20, `${methods.length} and ${shared.length} methods`)
  const program = [
    `declare const meow: import('${dist}/index.js').Meow`,
    `declare const store: import('${dist}/index.js').EventStore`,
    `declare const memory: import('${dist}/testing/index.js').MemoryStore`,
    ...methods.map((name) => `meow.${name}`),
    ...shared.flatMap((name) => [`store.${name}`, `memory.${name}`]),
  ]
  writeFileSync(join(folder, 'program.ts'), program.join('\n'))
  const shown = await hovers(program)
  const found = program.slice(3).map((line, i) => [line, shown[i + 3]!] as const)
  const without = found.filter(([, text]) => !/```\n\w.{20}/s.test(text.trim())).map(([line]) => line)
  assert.equal(without, [])
})

test.run()
