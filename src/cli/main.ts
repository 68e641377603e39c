#!/usr/bin/env node
/**
 * The command `meowmx`. Each command is a file of this folder that exports one function, which registers the command:
 *
 *     export function stallers(program: Command, run: Run): void {
 *       program
 *         .command('stallers')
 *         .description('…')
 *         .option('--limit <n>', '…', integer(1))               // parsed and checked by arguments.ts
 *         .action(run(async (context, options) => { … }))       // the arguments of the command, then its options
 *     }
 *
 * Below, it needs one import and one line in the list. A command gets a `Context`:
 *
 *     context.options           --url, --schema, --embedded, --json, --verbose, --no-color
 *     await context.open()      the store, migrated if it is embedded; it is closed when the command has ended
 *     await context.database()  the database for statements, even if the store is not healthy
 *     context.out               stdout, for data: line(), say(), table(); await them if you write much
 *     context.stderr            stderr, for people: note(), progress()
 *     context.signal            aborts on SIGINT, SIGTERM, or when the reader has ended (`| head`): finish the current work
 *     context.exit(code)        sets an exit code other than 0
 *
 * A command that reads `context.signal` is given time to finish; every other command ends at once. An error is printed in one
 * line (with its stack if --verbose is given). The exit code is then 1, or 2 for a ValidationError or a UsageError. To make
 * --help fast, files import only types and small modules at the top; they import the library and optional peers when needed.
 */
import { Command, CommanderError } from 'commander'
import { redactText } from '../core/secrets.ts'
import { version } from '../core/version.ts'
import { alter } from './alter.ts'
import { append } from './append.ts'
import { embeddedOption } from './arguments.ts'
import { categories } from './categories.ts'
import { completion } from './completion.ts'
import { runner } from './context.ts'
import { deleteSubscription } from './delete.ts'
import { demo } from './demo.ts'
import { doctor } from './doctor.ts'
import { erase } from './erase.ts'
import { exportEvents } from './export.ts'
import { head } from './head.ts'
import { health } from './health.ts'
import { importEvents } from './import.ts'
import { importLegacy } from './import-legacy.ts'
import { migrate } from './migrate.ts'
import { parked } from './parked.ts'
import { pause } from './pause.ts'
import { activate, dropVersion, projections, rebuild } from './projections.ts'
import { read } from './read.ts'
import { relay } from './relay.ts'
import { replay } from './replay.ts'
import { reset } from './reset.ts'
import { resume } from './resume.ts'
import { schema } from './schema.ts'
import { serve } from './serve.ts'
import { settled } from './settled.ts'
import { skip } from './skip.ts'
import { skipped } from './skipped.ts'
import { stallers } from './stallers.ts'
import { streams } from './streams.ts'
import { studio } from './studio.ts'
import { subscriptions } from './subscriptions.ts'
import { timers } from './timers.ts'
import { trace } from './trace.ts'
import { worker } from './worker.ts'
import { write } from './write.ts'

// The reader of our output may end early (`--help | head -1`), and stderr may be closed. This is for what commander prints:
// help and usage errors. A running command handles these errors itself (context.ts).
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (stream === process.stdout && error.code !== 'EPIPE') process.exitCode = 1
  })

const program = new Command('meowmx')
  .description('PostgreSQL as an event store, with push.')
  .version(version, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .helpCommand('help [command]', 'print the help of a command')
  .option(
    '--url <url>',
    'address of the server, postgres://user:password@host:port/database; default: DATABASE_URL or the PG* variables',
  )
  .option('--schema <name>', 'schema of the store', 'meowmx')
  .option(
    '--embedded [dir]',
    'start a PostgreSQL server: a throw-away one, or one whose data stays in dir, a path such as ./data',
  )
  .option('--listen-url <url>', 'address for LISTEN, if --url leads to a pooler')
  .option('--no-prepare', 'use no named statements (for PgBouncer before 1.21 in transaction mode)')
  .option('--json', 'print one JSON object on each line, for scripts')
  .option('--verbose', 'print more on stderr, and errors with their stack')
  .option('--no-color', 'print no colours; also if NO_COLOR is set, or stdout is not a terminal')
  .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
  .configureOutput({
    outputError: (text, write) => write(redactText(text).replace(/^error: /, 'meowmx: ')),
  })
  .exitOverride()
  .addHelpText(
    'after',
    `
Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 doctor found problems; 130, 143 ended by SIGINT, SIGTERM.
To try it without a server:  npx meowmx demo --embedded`,
  )

const run = runner()
for (const register of [
  migrate,
  append,
  read,
  categories,
  streams,
  head,
  trace,
  write,
  worker,
  relay,
  subscriptions,
  pause,
  resume,
  reset,
  alter,
  deleteSubscription,
  parked,
  replay,
  skip,
  skipped,
  projections,
  activate,
  rebuild,
  dropVersion,
  settled,
  stallers,
  timers,
  health,
  studio,
  serve,
  erase,
  exportEvents,
  importEvents,
  importLegacy,
  schema,
  doctor,
  demo,
  completion,
])
  register(program, run)

await program.parseAsync(embeddedOption(process.argv)).catch((error) => {
  if (!(error instanceof CommanderError)) throw error
  if (error.exitCode !== 0) process.exitCode = 2
})
