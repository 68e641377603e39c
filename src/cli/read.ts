// The command `read`.
import type { Command } from 'commander'
import type { RecordedEvent } from '../events/event.ts'
import type { Selector } from '../events/selector.ts'
import { selectorOf } from '../events/selector.ts'
import type { From } from '../live/observer.ts'
import { integer, list, moment, startPosition, UsageError } from './arguments.ts'
import type { Run } from './context.ts'
import { eventBlock, eventLine } from './events.ts'

interface Options {
  category?: string[]
  stream?: string
  types?: string[]
  tags?: string[]
  after: From
  since?: { since: Date }
  correlation?: string
  to?: number
  limit?: number
  tail?: boolean
  pretty?: boolean
}

/** Registers the command. The original meowmx called it read-events. */
export function read(program: Command, run: Run): void {
  program
    .command('read')
    .description('print events in order, one on each line: position, time, stream@version, type, data')
    .option('--category <names>', 'only these categories, a,b; default: all', list)
    .option('--stream <id>', 'only this stream of the category')
    .option('--types <names>', 'only these types, a,b', list)
    .option('--tags <tags>', 'only events that carry all of these tags, a,b', list)
    .option(
      '--after <position>',
      'start after this position; end: print only new events',
      startPosition,
      'start',
    )
    .option(
      '--since <time>',
      "start at the first event that was recorded then or later, such as '2026-01-31 14:00' (local time) or 2026-01-31T14:00Z",
      moment,
    )
    .option(
      '--correlation <id>',
      'only events that belong to this correlation id, as `meowmx trace` finds them',
    )
    .option('--to <position>', 'stop after this position', integer())
    .option('--limit <n>', 'print at most this many', integer(1))
    .option('--tail', 'then wait for new events, until Ctrl-C')
    .option('--pretty', 'print data and metadata over several lines')
    .addHelpText('after', '\nWith --json each event is printed in the format that `meowmx import` reads.')
    .action(
      run(async (context, options: Options) => {
        const { after, since, to = Infinity, limit = Infinity, tail = false, pretty } = options
        if (since && after !== 'start')
          throw new UsageError('--after and --since were both given: give only one')
        if (options.correlation !== undefined && tail)
          throw new UsageError('--correlation and --tail were both given: give only one')
        const from = since ?? after
        const { out, signal } = context
        const meow = await context.open({ listen: tail })
        const show = pretty ? eventBlock : eventLine
        let shown = 0
        const found =
          options.correlation === undefined
            ? meow.iterate(selector(options), { from, live: tail, signal })
            : (await meow.trace(options.correlation)).filter((event) => passes(event, options, from))
        for await (const event of found) {
          if (event.position > to) break
          await out.say(event, show(event, out))
          if (++shown >= limit || event.position >= to) break
        }
      }),
    )
}

/** Whether an event of a correlation is one that the other options select. */
function passes(event: RecordedEvent, { category, stream, types, tags }: Options, from: From): boolean {
  if (from === 'end' || (category && !category.includes(event.category))) return false
  if (stream !== undefined && stream !== event.streamId) return false
  if (types && !types.includes(event.type)) return false
  if (tags && !tags.every((tag) => event.tags.includes(tag))) return false
  if (from === 'start') return true
  return 'after' in from ? event.position > from.after : event.recordedAt >= new Date(from.since)
}

/** The selector of --category, --stream, --types and --tags. */
export function selector({
  category,
  stream,
  types,
  tags,
}: Pick<Options, 'category' | 'stream' | 'types' | 'tags'>): Selector<string> {
  return selectorOf({
    category: category?.length === 1 ? category[0] : category,
    streamId: stream,
    types,
    tags,
  })
}
