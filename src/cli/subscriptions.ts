// The command `subscriptions`.
import type { Command } from 'commander'
import type { SubscriptionInfo } from '../subscriptions/admin/subscriptions.ts'
import type { Run } from './context.ts'
import { approximate, counted } from './stderr.ts'

export function subscriptions(program: Command, run: Run): void {
  program
    .command('subscriptions')
    .description(
      'list durable subscriptions: what they consume, their positions and lags, and their executors',
    )
    .argument('[name]', 'only this subscription; fails if it does not exist')
    .option('--exact', 'count every event; without it large numbers are estimates, shown with ~')
    .action(
      run(async (context, name: string | undefined, { exact = false }: { exact?: boolean }) => {
        const meow = await context.open()
        const shown = await meow.subscriptions({ ...(name === undefined ? {} : { names: [name] }), exact })
        if (name !== undefined && shown.length === 0) {
          const { SubscriptionNotFoundError } = await import('../subscriptions/errors.ts')
          throw new SubscriptionNotFoundError(name)
        }
        if (shown.length === 0)
          context.stderr.note(
            'there are no subscriptions: `meowmx worker <name> --category <names>` creates one',
          )
        await context.out.table(shown, {
          name: ({ name }) => name,
          status: ({ status }) => status,
          consumes: consumed,
          position: ({ position }) => String(position),
          lag: ({ lag, lagIsEstimate }) => approximate(lag, lagIsEstimate),
          'held back': ({ heldBack: { events, seconds } }) =>
            events === 0 ? '-' : `${approximate(events, false)} for ${Math.round(seconds)} s`,
          parked: ({ parkedStreams, parked, parkedIsEstimate }) =>
            parkedStreams === 0
              ? '-'
              : `${counted(parkedStreams, 'stream')}, ${counted(parked, 'event', parkedIsEstimate)}`,
          owned: ({ partitions }) =>
            `${partitions.filter(({ owner }) => owner).length} of ${partitions.length}`,
          executors: ({ partitions }) =>
            [...new Set(partitions.flatMap(({ owner }) => owner ?? []))].join(' ') || '-',
        })
      }),
    )
}

/** A selector as text. */
function consumed({ selector: { category, types, streamId } }: SubscriptionInfo): string {
  const of = category === undefined ? 'all' : [category].flat().join(',')
  return `${of}${streamId === undefined ? '' : `/${streamId}`}${types ? `: ${types.join(',')}` : ''}`
}
