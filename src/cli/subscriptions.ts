import type { Command } from 'commander'
import type { SubscriptionInfo } from '../manage/subscriptions.ts'
import type { Run } from './context.ts'
import { count } from './talk.ts'

export function subscriptions(program: Command, run: Run): void {
  program
    .command('subscriptions')
    .description('durable subscriptions: what they consume, where they stand, who works on them')
    .argument('[name]', 'only this one; fails where there is none')
    .action(
      run(async (context, name: string | undefined) => {
        const meow = await context.open()
        const all = await meow.subscriptions()
        const shown = name === undefined ? all : all.filter((one) => one.name === name)
        if (name !== undefined && shown.length === 0) {
          const { SubscriptionNotFoundError } = await import('../errors.ts')
          throw new SubscriptionNotFoundError(name)
        }
        if (shown.length === 0)
          context.talk.note('there are none: `meowmx worker <name> --category <names>` makes one')
        await context.out.table(shown, {
          name: ({ name }) => name,
          consumes: consumed,
          position: ({ position }) => String(position),
          lag: ({ lag }) => count(lag),
          parked: ({ parked }) => count(parked),
          owned: ({ partitions }) =>
            `${partitions.filter(({ owner }) => owner).length} of ${partitions.length}`,
          executors: ({ partitions }) =>
            [...new Set(partitions.flatMap(({ owner }) => owner ?? []))].join(' ') || '-',
        })
      }),
    )
}

/** A selector in words. */
function consumed({ selector: { category, types, streamId } }: SubscriptionInfo): string {
  const of = category === undefined ? 'all' : [category].flat().join(',')
  return `${of}${streamId === undefined ? '' : `/${streamId}`}${types ? `: ${types.join(',')}` : ''}`
}
