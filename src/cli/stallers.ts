import type { Command } from 'commander'
import type { Run } from './context.ts'

export function stallers(program: Command, run: Run): void {
  program
    .command('stallers')
    .description('open transactions that hold back what others have appended, the oldest first')
    .addHelpText(
      'after',
      '\nTo end one: select pg_terminate_backend(pid), or rollback prepared where it has no pid.',
    )
    .action(
      run(async (context) => {
        const meow = await context.open()
        const found = await meow.stallers()
        if (found.length === 0) context.talk.note('nobody holds anything back')
        await context.out.table(found, {
          pid: ({ pid }) => (pid === null ? 'prepared' : String(pid)),
          application: ({ application }) => application || '-',
          since: ({ since }) => since?.toISOString() ?? '(needs pg_read_all_stats)',
          category: ({ category, everyCategory }) =>
            category ?? (everyCategory ? 'every one' : 'none with events; the whole store'),
          query: ({ query }) => (query ?? '-').replaceAll(/\s+/g, ' ').slice(0, 100),
        })
      }),
    )
}
