import type { Command } from 'commander'
import type { Selector } from '../events/selector.ts'
import type { From } from '../live/observer.ts'
import { integer, list, place } from './arguments.ts'
import type { Run } from './context.ts'
import { eventBlock, eventLine } from './events.ts'

interface Options {
  category?: string[]
  stream?: string
  types?: string[]
  after: From
  to?: number
  limit?: number
  tail?: boolean
  pretty?: boolean
}

/** The original's read-events. */
export function read(program: Command, run: Run): void {
  program
    .command('read')
    .description('print events in order, one a line: position, time, stream@version, type, data')
    .option('--category <names>', 'of these categories, a,b; default: of all', list)
    .option('--stream <id>', 'of this stream of the category')
    .option('--types <names>', 'of these types, a,b', list)
    .option('--after <position>', 'begin after this position; end: only with those to come', place, 'start')
    .option('--to <position>', 'end with this position', integer())
    .option('--limit <n>', 'so many at most', integer(1))
    .option('--tail', 'go on with those to come, pushed, until Ctrl-C')
    .option('--pretty', 'for people: data and metadata over several lines')
    .addHelpText('after', '\nWith --json, each event as `meowmx import` takes it.')
    .action(
      run(async (context, options: Options) => {
        const { after: from, to = Infinity, limit = Infinity, tail = false, pretty } = options
        const { out, signal } = context
        const meow = await context.open({ listen: tail })
        const show = pretty ? eventBlock : eventLine
        let shown = 0
        for await (const event of meow.iterate(selector(options), { from, live: tail, signal })) {
          if (event.position > to) break
          await out.say(event, show(event, out))
          if (++shown >= limit || event.position >= to) break
        }
      }),
    )
}

/** What --category, --stream and --types select. */
export function selector({
  category,
  stream,
  types,
}: Pick<Options, 'category' | 'stream' | 'types'>): Selector<string> {
  return {
    ...(category ? { category: category.length === 1 ? category[0]! : category } : {}),
    ...(stream === undefined ? {} : { streamId: stream }),
    ...(types ? { types } : {}),
  }
}
