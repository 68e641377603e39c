import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { MAX_INT } from '../core/numbers.ts'
import { integer, list } from './arguments.ts'
import type { Context, Run } from './context.ts'
import type { Check, Finding, Need, Patient, Right } from './doctor/check.ts'
import { RIGHTS } from './doctor/check.ts'
import type { Output } from './output.ts'
import { plain } from './output.ts'
import { messageOf } from './talk.ts'

/** The exit code where there is something to do. */
const PROBLEMS = 3

export function doctor(program: Command, run: Run): void {
  program
    .command('doctor')
    .description(
      'look for what is wrong with server, store and subscriptions, and say what to do; changes nothing',
    )
    .option('--long-ms <ms>', 'how long a transaction may stay open', integer(0, MAX_INT), 60_000)
    .option('--may <rights>', `what this role is to be able to do: ${RIGHTS.join(',')}`, rights)
    .addHelpText('after', '\nExit codes: 0 nothing to do, or warnings alone; 3 there are problems.')
    .action(
      run(async (context, { longMs, may = ['read'] }: { longMs: number; may?: Right[] }) => {
        const db = await context.database()
        if (context.options.embedded !== undefined) await (await import('../database/migrate.ts')).migrate(db)
        const problems = await examine(context, { db, listenUrl: context.options.listenUrl, longMs, may })
        if (problems > 0) context.exit(PROBLEMS)
        context.talk.note(
          problems === 0
            ? 'no problem found'
            : `${problems} ${problems === 1 ? 'problem' : 'problems'} found`,
        )
      }),
    )
}

/** Tells each finding as it comes; returns how many are problems. */
async function examine({ out }: Context, patient: Patient): Promise<number> {
  let problems = 0
  const missing = new Set<Need>()
  for (const check of await checks()) {
    const findings = await look(check, patient, missing)
    for (const finding of findings) await tell(out, check.name, finding)
    for (const { state, blocks } of findings) {
      if (state !== 'problem') continue
      problems++
      for (const need of blocks ?? check.blocks ?? []) missing.add(need)
    }
  }
  return problems
}

async function look(check: Check, patient: Patient, missing: ReadonlySet<Need>): Promise<Finding[]> {
  if (check.needs && missing.has(check.needs))
    return [{ state: 'skipped', found: `not looked at: ${MISSING[check.needs]}` }]
  try {
    return [await check.look(patient)].flat()
  } catch (error) {
    return [{ state: 'problem', found: messageOf(error) }]
  }
}

const MISSING = {
  server: 'there is no connection',
  schema: 'it may not be read',
  store: 'it may not be read, or is not there',
}

/** In the order of what rests on what. */
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
    push.push,
    push.queue,
    transactions.transactions,
    transactions.stallers,
    transactions.bloat,
    subscriptions,
  ]
}

const MARKS = { ok: 'green', warning: 'yellow', problem: 'red', skipped: 'dim' } as const

async function tell(out: Output, check: string, finding: Finding): Promise<void> {
  const { state, found, todo } = finding
  if (out.json) return out.line(JSON.stringify({ check, state, found, ...(todo ? { todo } : {}) }))
  await out.line(`${out.style(MARKS[state], state.padEnd(7))}  ${check.padEnd(13)}  ${plain(found)}`)
  if (todo) await out.line(`${' '.repeat(24)}to do: ${plain(todo)}`)
}

function rights(text: string): Right[] {
  const names = list(text)
  const stranger = names.find((name) => !RIGHTS.includes(name as Right))
  if (stranger !== undefined) throw new InvalidArgumentError(`It must be some of ${RIGHTS.join(', ')}.`)
  return names as Right[]
}
