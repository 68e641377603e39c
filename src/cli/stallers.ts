// The command `stallers`.
import type { Command } from 'commander'
import type { Run } from './context.ts'

export function stallers(program: Command, run: Run): void {
  program
    .command('stallers')
    .description(
      'list the blocking transactions, the oldest first: open appends that delay the delivery of later events',
    )
    .addHelpText(
      'after',
      '\nTo end one: select pg_terminate_backend(pid); if it has no pid: rollback prepared.',
    )
    .action(
      run(async (context) => {
        const meow = await context.open()
        const found = await meow.stallers()
        if (found.length === 0) context.stderr.note('there are no blocking transactions')
        await context.out.table(found, {
          pid: ({ pid }) => (pid === null ? 'prepared' : String(pid)),
          application: ({ application }) => application || '-',
          since: ({ since }) => since?.toISOString() ?? '(needs pg_read_all_stats)',
          category: ({ category, everyCategory }) =>
            category ?? (everyCategory ? 'every category' : 'the whole store (no category with events)'),
          query: ({ query }) => (query ?? '-').replaceAll(/\s+/g, ' ').slice(0, 100),
        })
      }),
    )
}
