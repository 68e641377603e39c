#!/usr/bin/env node
/**
 * The command `meowmx`. Each command is a file here that exports one function, which registers it:
 *
 *     export function stallers(program: Command, run: Run): void {
 *       program
 *         .command('stallers')
 *         .description('…')
 *         .option('--limit <n>', '…', integer('--limit', 1))    // checked by arguments.ts
 *         .action(run(async (context, options) => { … }))       // arguments of the command, then its options
 *     }
 *
 * and one import and one line below. What a command is given (`Context`):
 *
 *     context.options           --url, --schema, --embedded, --json, --verbose, --no-color
 *     await context.open()      the store, migrated where it is embedded; closed when the command has ended
 *     await context.database()  the same for plain SQL (files of sql/queries), also where the store is not healthy
 *     context.out               stdout, which is data: line(), json(), table(); await them where there is much
 *     context.talk              stderr, which is talk: note(), progress()
 *     context.signal            aborts on SIGINT, SIGTERM, or a reader that has gone (`| head`): finish what is in hand
 *     context.exit(code)        another exit code than 0, when all is done
 *
 * A command that reads `context.signal` is waited for; any other ends at once. What a command throws is told in one line
 * (`--verbose`: with its stack), and ends it with 1, or 2 where it is a ValidationError or a UsageError. Imports at the top of a file are
 * types, and what is light; the library, and optional peers, are imported where they are used, so that --help is quick.
 */
import { Command, CommanderError } from 'commander'
import { redactText } from '../core/secrets.ts'
import { version } from '../core/version.ts'
import { append } from './append.ts'
import { embeddedOption } from './arguments.ts'
import { completion } from './completion.ts'
import { runner } from './context.ts'
import { deleteSubscription } from './delete.ts'
import { demo } from './demo.ts'
import { doctor } from './doctor.ts'
import { exportEvents } from './export.ts'
import { importEvents } from './import.ts'
import { importLegacy } from './import-legacy.ts'
import { migrate } from './migrate.ts'
import { parked } from './parked.ts'
import { read } from './read.ts'
import { relay } from './relay.ts'
import { replay } from './replay.ts'
import { reset } from './reset.ts'
import { stallers } from './stallers.ts'
import { studio } from './studio.ts'
import { subscriptions } from './subscriptions.ts'
import { worker } from './worker.ts'
import { write } from './write.ts'

// The reader of our output may end early (`--help | head -1`), and stderr may be closed. Help and usage errors come from
// commander; a command that has begun finds out by itself what it is to do then (context.ts).
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (stream === process.stdout && error.code !== 'EPIPE') process.exitCode = 1
  })

const program = new Command('meowmx')
  .description('PostgreSQL as an event store, with push.')
  .version(version, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this')
  .helpCommand('help [command]', 'print the help of a command')
  .option(
    '--url <url>',
    'the server, postgres://user:password@host:port/database; else DATABASE_URL, else PG*',
  )
  .option('--schema <name>', 'the store', 'meowmx')
  .option('--embedded [dir]', 'a PostgreSQL of our own: throw-away, or kept in dir, a path such as ./data')
  .option('--listen-url <url>', 'where LISTEN must go round a pooler')
  .option('--no-prepare', 'no named statements (PgBouncer before 1.21 in transaction mode)')
  .option('--json', 'for scripts: one JSON object a line')
  .option('--verbose', 'tell more on stderr, errors with their stack')
  .option('--no-color', 'no colours; so with NO_COLOR, and where stdout is no terminal')
  .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
  .configureOutput({
    outputError: (text, write) => write(redactText(text).replace(/^error: /, 'meowmx: ')),
  })
  .exitOverride()
  .addHelpText(
    'after',
    `
Exit codes: 0 done, 1 failed, 2 called wrongly, 3 doctor found problems; 130, 143 ended by SIGINT, SIGTERM.
A first try needs nothing:  npx meowmx demo --embedded`,
  )

const run = runner()
for (const register of [
  migrate,
  append,
  read,
  write,
  worker,
  relay,
  subscriptions,
  reset,
  deleteSubscription,
  parked,
  replay,
  stallers,
  studio,
  exportEvents,
  importEvents,
  importLegacy,
  doctor,
  demo,
  completion,
])
  register(program, run)

await program.parseAsync(embeddedOption(process.argv)).catch((error) => {
  if (!(error instanceof CommanderError)) throw error
  if (error.exitCode !== 0) process.exitCode = 2
})
