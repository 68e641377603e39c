import type { Command } from 'commander'
import type { SubscriptionInfo } from '../subscriptions/admin/subscriptions.ts'
import type { Run } from './context.ts'
import { about } from './talk.ts'

export function subscriptions(program: Command, run: Run): void {
  program
    .command('subscriptions')
    .description('durable subscriptions: what they consume, where they stand, who works on them')
    .argument('[name]', 'only this one; fails if there is none')
    .option('--exact', 'count every event; without it large numbers are estimates, which begin with ~')
    .action(
      run(async (context, name: string | undefined, { exact = false }: { exact?: boolean }) => {
        const meow = await context.open()
        const shown = await meow.subscriptions({ ...(name === undefined ? {} : { names: [name] }), exact })
        if (name !== undefined && shown.length === 0) {
          const { SubscriptionNotFoundError } = await import('../subscriptions/errors.ts')
          throw new SubscriptionNotFoundError(name)
        }
        if (shown.length === 0)
          context.talk.note('there are none: `meowmx worker <name> --category <names>` makes one')
        await context.out.table(shown, {
          name: ({ name }) => name,
          consumes: consumed,
          position: ({ position }) => String(position),
          lag: ({ lag, lagIsEstimate }) => about(lag, lagIsEstimate),
          'held back': ({ heldBack: { events, seconds } }) =>
            events === 0 ? '-' : `${about(events, false)} for ${Math.round(seconds)} s`,
          parked: ({ parked, parkedIsEstimate }) => about(parked, parkedIsEstimate),
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
