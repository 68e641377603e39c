// @direct
// The command meowmx: --help everywhere, exit codes, errors in a line.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli } from './support/cli.ts'

const COMMANDS = [
  'migrate',
  'append',
  'read',
  'categories',
  'head',
  'health',
  'alter',
  'erase',
  'write',
  'worker',
  'streams',
  'trace',
  'subscriptions',
  'pause',
  'resume',
  'reset',
  'delete',
  'parked',
  'replay',
  'skip',
  'skipped',
  'projections',
  'activate',
  'rebuild',
  'drop',
  'settled',
  'stallers',
  'timers',
  'serve',
  'export',
  'import',
  'import-legacy',
  'schema',
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
  assert.match(stdout, /Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 doctor found problems; 130, 143/)
  const helps = await Promise.all(COMMANDS.map((name) => cli([name, '--help'])))
  helps.forEach((help, i) => {
    assert.equal([help.code, help.stderr], [0, ''])
    assert.match(help.stdout, new RegExp(`^Usage: meowmx ${COMMANDS[i]} `))
    assert.match(help.stdout, /--url <url>[\s\S]*--schema <name>[\s\S]*--embedded \[dir\][\s\S]*--json/)
  })
})

test('wrong arguments: 2, and one line that says how', async () => {
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
    // What a variable of the shell without a value leaves must not reach another server, or select more.
    [['read', '--url', ''], /^meowmx: --url is empty: give it a value, or leave it out\n$/],
    [['read', '--listen-url', ''], /^meowmx: --listen-url is empty: give it a value, or leave it out\n$/],
    [['read', '--category', 'a', '--stream', ''], /^meowmx: selector\.streamId must not be empty, got ""\n$/],
    [['read', '--category', ''], /^meowmx: option '--category <names>' argument '' is invalid/],
    [['replay', 's', '--stream', ''], /^meowmx: options\.streamId must not be empty, got ""\n$/],
    [
      ['append', 'c', 's', 'T', '--expected-version', ''],
      /^meowmx: option '--expected-version <v>' argument ''/,
    ],
    [['reset', 's'], /^meowmx: reset needs either <to> or --at <time>/],
    [['reset', 's', 'end', '--at', '2026-01-31'], /^meowmx: reset needs either/],
    [
      ['reset', 's', '--at', 'noon'],
      /^meowmx: option '--at <time>' argument 'noon' is invalid\. It must be a time/,
    ],
    [['skip', 's', '--stream', 'a'], /^meowmx: required option '--reason <text>' not specified\n$/],
    [['reset', 's', ''], /^meowmx: command-argument value '' is invalid/],
  ]
  const results = await Promise.all(wrong.map(([words]) => cli(words)))
  results.forEach(({ code, stdout, stderr }, i) => {
    assert.equal([code, stdout], [2, ''], `${wrong[i]![0]}: ${stderr}`)
    assert.match(stderr, wrong[i]![1])
  })
})

test('not migrated: what to call', async () => {
  const { code, stderr } = await cli(['read', '--schema', 'meowmx_test_nothing'])
  assert.is(code, 1)
  assert.match(
    stderr,
    /^meowmx: schema "meowmx_test_nothing" is not migrated .*\nrun meowmx migrate, or give --schema .*\n$/,
  )
})

test('a failure: 1, one line and no stack; with --verbose, the stack', async () => {
  const nowhere = ['read', '--url', 'postgres://nobody:secret@127.0.0.1:1/x']
  const [brief, verbose] = await Promise.all([cli(nowhere), cli([...nowhere, '--verbose'])])
  assert.equal([brief.code, brief.stdout, verbose.code], [1, '', 1])
  assert.match(brief.stderr, /^meowmx: no connection to the server: .*check that it runs.*\n$/)
  assert.match(verbose.stderr, /^meowmx: ConnectionError: .*\n +at /m)
  assert.not.match(verbose.stderr, /secret/)
})

test.run()
