// The command `trace`.
import type { Command } from 'commander'
import { defined, integer } from './arguments.ts'
import type { Run } from './context.ts'
import { eventBlock, eventLine } from './events.ts'

export function trace(program: Command, run: Run): void {
  program
    .command('trace')
    .description('print all events of a correlation id, or of the correlation that an event belongs to')
    .argument('<id>', 'a correlation id, or the id of an event')
    .option('--limit <n>', 'print at most this many', integer(1))
    .option('--pretty', 'print data and metadata, too')
    .action(
      run(async (context, id: string, { limit, pretty }: { limit?: number; pretty?: true }) => {
        const { out, stderr } = context
        const { jsonText } = await import('../core/json-text.ts')
        const meow = await context.open()
        const events = await meow.trace(id, defined({ limit }))
        if (events.length === 0) stderr.note(`no event has the correlation id or the id ${id}`)
        for (const event of events)
          await out.line(out.json ? jsonText(event) : pretty ? eventBlock(event, out) : eventLine(event, out))
      }),
    )
}
