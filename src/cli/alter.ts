// The command `alter`.
import type { Command } from 'commander'
import { defined, integer, list, UsageError } from './arguments.ts'
import type { Run } from './context.ts'

interface Options {
  category?: string[]
  allCategories?: true
  types?: string[]
  allTypes?: true
  partitions?: number
}

export function alter(program: Command, run: Run): void {
  program
    .command('alter')
    .description('change what a subscription consumes, or its number of partitions; it must be stopped')
    .argument('<subscription>')
    .option('--category <names>', 'these categories, a,b', list)
    .option('--all-categories', 'events of every category')
    .option('--types <names>', 'these types, a,b', list)
    .option('--all-types', 'events of every type')
    .option('--partitions <n>', 'number of partitions', integer(1, 1_024))
    .addHelpText(
      'after',
      `
What you leave out stays as it is, and so do the position and the parked events. Give the code of the workers the same selector.
Events that it newly selects are handled only above its position: \`meowmx reset\` goes back.`,
    )
    .action(
      run(async (context, name: string, options: Options) => {
        const { category, allCategories, types, allTypes, partitions } = options
        if (category && allCategories)
          throw new UsageError('--category and --all-categories were both given: give only one')
        if (types && allTypes) throw new UsageError('--types and --all-types were both given: give only one')
        const changes = defined({
          category: allCategories ? null : category,
          types: allTypes ? null : types,
          partitions,
        })
        if (Object.keys(changes).length === 0)
          throw new UsageError('alter needs at least one change (see meowmx alter --help)')
        const meow = await context.open()
        await meow.alterSubscription(name, changes)
        await context.out.say({ name, ...changes }, `"${name}" is changed`)
      }),
    )
}
