// The command `streams`.
import type { Command } from 'commander'
import { defined, integer } from './arguments.ts'
import type { Run } from './context.ts'

interface Options {
  prefix?: string
  after?: string
  limit: number
}

export function streams(program: Command, run: Run): void {
  program
    .command('streams')
    .description('list the streams of a category, with their last versions and positions')
    .argument('<category>')
    .option('--prefix <text>', 'only streams whose ids begin with this text')
    .option('--after <id>', 'only streams whose ids come after this one')
    .option('--limit <n>', 'show at most this many', integer(1, 100_000), 100)
    .action(
      run(async (context, category: string, { prefix, after, limit }: Options) => {
        const meow = await context.open()
        const found = await meow.streams(category, { ...defined({ prefix, after }), limit })
        if (found.length === limit)
          context.stderr.note(
            `these are the first ${limit}; --after ${found.at(-1)!.streamId} shows the next ones`,
          )
        if (found.length === 0) context.stderr.note(`category ${category} has no such streams`)
        await context.out.table(found, {
          stream: ({ streamId }) => streamId,
          version: ({ version }) => String(version),
          position: ({ lastPosition }) => String(lastPosition),
        })
      }),
    )
}
