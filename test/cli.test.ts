// @direct
// The command meowmx: help, exit codes, a server of its own, colours, completion.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, masked, parsed } from './support/cli.ts'
import { unless } from './support/ways.ts'

const dir = mkdtempSync(join(tmpdir(), 'meowmx-cli-'))
test.after(() => rmSync(dir, { recursive: true }))

const COMMANDS = [
  'migrate',
  'append',
  'read',
  'write',
  'worker',
  'subscriptions',
  'reset',
  'delete',
  'parked',
  'replay',
  'stallers',
  'export',
  'import',
  'import-legacy',
  'doctor',
  'demo',
  'completion',
]

test('--help: each command, the options of all, the exit codes', async () => {
  const { code, stdout, stderr } = await cli(['--help'])
  assert.equal([code, stderr], [0, ''])
  const [, list] = stdout.split('Commands:\n')
  const listed = [...list!.matchAll(/^ {2}([\w-]+)/gm)].map(([, name]) => name)
  for (const name of COMMANDS) assert.ok(listed.includes(name), name)
  assert.match(stdout, /Exit codes: 0 done, 1 failed, 2 called wrongly, 3 doctor found problems; 130, 143/)
  const helps = await Promise.all(COMMANDS.map((name) => cli([name, '--help'])))
  helps.forEach((help, i) => {
    assert.equal([help.code, help.stderr], [0, ''])
    assert.match(help.stdout, new RegExp(`^Usage: meowmx ${COMMANDS[i]} `))
    assert.match(help.stdout, /--url <url>[\s\S]*--schema <name>[\s\S]*--embedded \[dir\][\s\S]*--json/)
  })
})

test('called wrongly: 2, and one line that says how', async () => {
  const wrong: [words: string[], said: RegExp][] = [
    [['nope'], /^meowmx: unknown command 'nope'\n$/],
    [['read', '--nope'], /^meowmx: unknown option '--nope'\n$/],
    [
      ['read', '--limit', '0'],
      /^meowmx: option '--limit <n>' argument '0' is invalid\. It must be a whole number, at least 1\.\n$/,
    ],
    [['parked'], /^meowmx: missing required argument 'subscription'\n$/],
    [
      ['append', 'order'],
      /^meowmx: append needs <category> <streamId> <type>, or - \(see meowmx append --help\)\n$/,
    ],
    [
      ['read', '--schema', 'pg_mine'],
      /^meowmx: options\.schema must not start with pg_, .*, got "pg_mine"\n$/,
    ],
  ]
  const results = await Promise.all(wrong.map(([words]) => cli(words)))
  results.forEach(({ code, stdout, stderr }, i) => {
    assert.equal([code, stdout], [2, ''])
    assert.match(stderr, wrong[i]![1])
  })
})

test('a failure: 1, one line and no stack; with --verbose, the stack', async () => {
  const nowhere = ['read', '--url', 'postgres://nobody:secret@127.0.0.1:1/x']
  const [brief, verbose] = await Promise.all([cli(nowhere), cli([...nowhere, '--verbose'])])
  assert.equal([brief.code, brief.stdout, verbose.code], [1, '', 1])
  assert.match(brief.stderr, /^meowmx: no connection to the server: .*check that it runs.*\n$/)
  assert.match(verbose.stderr, /^meowmx: ConnectionError: .*\n +at /m)
  assert.not.match(verbose.stderr, /secret/)
})

test('--embedded: a server of its own, migrated, kept in a directory; and demo on a throw-away one', async () => {
  const data = join(dir, 'data')
  const env = { DATABASE_URL: undefined }
  const [first, demo] = await Promise.all([
    cli(['append', '--embedded', data, 'order', '42', 'OrderPlaced', '{"price": 9}'], { env }),
    cli(['demo', '--embedded', '--count', '3', '--every-ms', '0', '--json'], { env }),
  ])
  assert.equal(first, { code: 0, stdout: 'appended order/42@0 OrderPlaced at position 1\n', stderr: '' })
  const second = await cli(['read', `--embedded=${data}`], { env })
  assert.equal(
    [second.code, masked(second.stdout), second.stderr],
    [0, '1 <time> order/42@0 OrderPlaced {"price":9}\n', ''],
  )
  assert.equal([demo.code, demo.stderr], [0, ''])
  const said = parsed(demo.stdout)
  const { events, sum, medianMs } = said.at(-1)
  assert.equal([said.length, events, sum], [7, 6, 0])
  assert.ok(medianMs > 0 && said.slice(0, -1).every(({ pushedMs }) => pushedMs > 0))
})

const shells = ['bash', 'zsh', 'fish'] as const
const there = (shell: string) =>
  (process.env.PATH ?? '').split(':').some((place) => existsSync(join(place, shell)))

for (const shell of shells) {
  unless(!there(shell) && `there is no ${shell}`, test)(
    `completion ${shell}: commands, and the options of each`,
    async () => {
      const { code, stdout } = await cli(['completion', shell])
      assert.is(code, 0)
      const script = join(dir, `completion.${shell}`)
      writeFileSync(script, stdout)
      const complete = (...words: string[]): string[] => {
        const out = execFileSync(shell, SHELLS[shell](script, words), { encoding: 'utf8', cwd: dir })
        return out
          .split('\n')
          .flatMap((line) => line.split(/[\t:]/)[0] || [])
          .sort()
      }
      if (shell === 'zsh') return void execFileSync('zsh', ['-n', script]) // what it completes needs a terminal
      assert.equal(complete('re'), ['read', 'replay', 'reset'])
      assert.equal(complete('read', '--ta'), ['--tail'])
      assert.equal(complete('worker', '--max-'), ['--max-attempts', '--max-delay-ms', '--max-in-flight'])
      assert.equal(complete('worker', '--sch'), ['--schema'])
    },
  )
}

const SHELLS = {
  bash: (script: string, words: string[]) => [
    '-c',
    `source '${script}'; COMP_WORDS=(meowmx ${words.join(' ')}); COMP_CWORD=${words.length}; _meowmx; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ],
  zsh: () => [],
  fish: (script: string, words: string[]) => [
    '--no-config',
    '-c',
    `source '${script}'; complete -C 'meowmx ${words.join(' ')}'`,
  ],
}

test.run()
