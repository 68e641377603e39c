// @direct
// The command meowmx completion: the scripts that it prints work in all shells that are installed here.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli } from './support/cli.ts'
import { unless } from './support/ways.ts'

const dir = mkdtempSync(join(tmpdir(), 'meowmx-cli-'))
test.after(() => rmSync(dir, { recursive: true }))

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
      assert.equal(complete('re'), ['read', 'rebuild', 'relay', 'replay', 'reset', 'resume'])
      assert.equal(complete('read', '--ta'), ['--tags', '--tail'])
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
