// The command `doctor`.
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { MAX_INT } from '../core/numbers.ts'
import { integer, list } from './arguments.ts'
import type { Context, Run } from './context.ts'
import type { Check, Finding, Need, Right, Target } from './doctor/check.ts'
import { RIGHTS } from './doctor/check.ts'
import type { Output } from './output.ts'
import { plain } from './output.ts'
import { messageOf } from './stderr.ts'

/** The exit code if there is a problem. */
const PROBLEMS = 3

export function doctor(program: Command, run: Run): void {
  program
    .command('doctor')
    .description('check the server, the store and the subscriptions, and say what to do; changes nothing')
    .option('--long-ms <ms>', 'report transactions that are open for longer', integer(0, MAX_INT), 60_000)
    .option('--may <rights>', `privileges that this role must have: ${RIGHTS.join(',')}`, rights)
    .addHelpText('after', '\nExit codes: 0 no problem (there may be warnings); 3 there are problems.')
    .action(
      run(async (context, { longMs, may = ['read'] }: { longMs: number; may?: Right[] }) => {
        const db = await context.database()
        if (context.options.embedded !== undefined) await (await import('../database/migrate.ts')).migrate(db)
        const problems = await examine(context, { db, listenUrl: context.options.listenUrl, longMs, may })
        if (problems > 0) context.exit(PROBLEMS)
        context.stderr.note(
          problems === 0
            ? 'no problem found'
            : `${problems} ${problems === 1 ? 'problem' : 'problems'} found`,
        )
      }),
    )
}

/** Prints the findings of each check, and returns the number of problems. */
async function examine({ out }: Context, target: Target): Promise<number> {
  let problems = 0
  const missing = new Set<Need>()
  for (const check of await checks()) {
    const findings = await runCheck(check, target, missing)
    for (const finding of findings) await printFinding(out, check.name, finding)
    for (const { state, blocks } of findings) {
      if (state !== 'problem') continue
      problems++
      for (const need of blocks ?? check.blocks ?? []) missing.add(need)
    }
  }
  return problems
}

async function runCheck(check: Check, target: Target, missing: ReadonlySet<Need>): Promise<Finding[]> {
  if (check.needs && missing.has(check.needs))
    return [{ state: 'skipped', found: `not checked: ${MISSING[check.needs]}` }]
  try {
    return [await check.run(target)].flat()
  } catch (error) {
    return [{ state: 'problem', found: messageOf(error) }]
  }
}

const MISSING = {
  server: 'there is no connection',
  schema: 'this role may not read it',
  store: 'this role may not read the store, or the store does not exist',
}

/** All checks. A check comes after those that it needs. */
async function checks(): Promise<Check[]> {
  const [server, store, push, transactions, { subscriptions }] = await Promise.all([
    import('./doctor/server.ts'),
    import('./doctor/store.ts'),
    import('./doctor/push.ts'),
    import('./doctor/transactions.ts'),
    import('./doctor/subscriptions.ts'),
  ])
  return [
    server.connection,
    server.server,
    server.clock,
    store.rights,
    store.rowSecurity,
    store.migration,
    store.health,
    store.objects,
    push.push,
    push.queue,
    transactions.transactions,
    transactions.stallers,
    transactions.bloat,
    subscriptions,
  ]
}

const MARKS = { ok: 'green', warning: 'yellow', problem: 'red', skipped: 'dim' } as const

async function printFinding(out: Output, check: string, finding: Finding): Promise<void> {
  const { state, found, todo } = finding
  if (out.json) return out.line(JSON.stringify({ check, state, found, ...(todo ? { todo } : {}) }))
  await out.line(`${out.style(MARKS[state], state.padEnd(7))}  ${check.padEnd(13)}  ${plain(found)}`)
  if (todo) await out.line(`${' '.repeat(24)}to do: ${plain(todo)}`)
}

function rights(text: string): Right[] {
  const names = list(text)
  const unknown = names.find((name) => !RIGHTS.includes(name as Right))
  if (unknown !== undefined)
    throw new InvalidArgumentError(`It must be one or more of ${RIGHTS.join(', ')}, separated by commas.`)
  return names as Right[]
}
