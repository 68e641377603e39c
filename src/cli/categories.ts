// The command `categories`.
import type { Command } from 'commander'
import type { Run } from './context.ts'
import { count } from './stderr.ts'

export function categories(program: Command, run: Run): void {
  program
    .command('categories')
    .description('list all categories, with the numbers of their streams and events')
    .option('--names', 'only names and last positions: quick, whatever the size of the store')
    .action(
      run(async (context, { names }: { names?: true }) => {
        const meow = await context.open()
        const position = ({ lastPosition }: { lastPosition: number }) => String(lastPosition)
        const category = (one: { category: string }) => one.category
        if (names) {
          const found = await meow.categories({ counts: false })
          if (found.length === 0) context.stderr.note('there are no events')
          return context.out.table(found, { category, position })
        }
        const found = await meow.categories()
        if (found.length === 0) context.stderr.note('there are no events')
        await context.out.table(found, {
          category,
          streams: ({ streams }) => count(streams),
          events: ({ events }) => count(events),
          position,
        })
      }),
    )
}
