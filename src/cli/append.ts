// The command `append`.
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import type { AppendResult, ExpectedVersion } from '../append/request.ts'
import { Condition } from '../core/condition.ts'
import { MAX_INT } from '../core/numbers.ts'
import type { NewEvent, StreamRef } from '../events/event.ts'
import type { Meow } from '../meow.ts'
import { json, UsageError } from './arguments.ts'
import type { Context, Run } from './context.ts'
import { streamName } from './events.ts'
import { lines, wholeText } from './lines.ts'

interface Options {
  metadata?: string
  id?: string
  expectedVersion?: ExpectedVersion
}

/** The largest number of appends that run at once when the events come from stdin. */
const IN_FLIGHT = 256

/** Registers the command. The original meowmx called it save-event. */
export function append(program: Command, run: Run): void {
  program
    .command('append')
    .description('append an event to a stream, or many events from stdin')
    .argument(
      '[category]',
      'category of the stream; -: read lines from stdin, each {"category", "streamId", "type", "data", …}',
    )
    .argument('[streamId]', 'id of the stream')
    .argument(
      '[type]',
      'type of the event; -: read lines from stdin, each {"type", "data", …}; all are appended, or none',
    )
    .argument('[data]', 'JSON; -: read all of stdin; default: null')
    .option('--metadata <json>', 'a JSON object')
    .option('--id <uuid>', 'id of the event; a retry with the same id appends nothing')
    .option(
      '--expected-version <v>',
      'any, no-stream, stream-exists or the version of the last event',
      expected,
    )
    .addHelpText(
      'after',
      `
Examples:
  meowmx append order 42 OrderPlaced '{"price": 9}' --expected-version no-stream
  curl -s https://example.org/order.json | meowmx append order 42 OrderImported -
  jq -c '.[] | {category: "order", streamId: .id, type: "OrderPlaced", data: .}' orders.json | meowmx append -
In a line you may leave out "metadata", "id" and (if it has a category) "expectedVersion". Numbers have JavaScript's precision.`,
    )
    .action(
      run(async (context, ...[category, streamId, type, data, options]: Arguments) => {
        const { expectedVersion } = options
        if (category === '-' && streamId === undefined) {
          if (Object.keys(options).length > 0)
            throw new UsageError(
              'with - give no options: put "metadata", "id" and "expectedVersion" into the lines',
            )
          return appendLines(context, await context.open())
        }
        if (category === undefined || streamId === undefined || type === undefined)
          throw new UsageError('append needs <category> <streamId> <type>, or - (see meowmx append --help)')
        const stream = { category, streamId }
        const events = type === '-' ? await lineEvents() : [await event(type, data, options)]
        const meow = await context.open()
        await printResult(
          context,
          stream,
          await meow.append(stream, events, expectedVersion === undefined ? {} : { expectedVersion }),
        )
      }),
    )
}

type Arguments = [
  category: string | undefined,
  streamId: string | undefined,
  type: string | undefined,
  data: string | undefined,
  options: Options,
]

async function event(type: string, data: string | undefined, { metadata, id }: Options): Promise<NewEvent> {
  const text = data === '-' ? await wholeText() : data
  return {
    type,
    data: text === undefined ? null : json(text, 'data'),
    ...(metadata === undefined ? {} : { metadata: json(metadata, '--metadata') as object }),
    ...(id === undefined ? {} : { id }),
  }
}

async function lineEvents(): Promise<NewEvent[]> {
  const events: NewEvent[] = []
  for await (const { text, number } of lines(process.stdin))
    events.push(json(text, `line ${number}`) as NewEvent)
  return events
}

/** Appends each line on its own, in order within a stream; stops at the first line that fails. */
async function appendLines(context: Context, meow: Meow): Promise<void> {
  const { signal } = context
  const pending = new Set<Promise<void>>()
  const settled = new Condition()
  let failure: { error: unknown; number: number } | undefined
  const fail = (error: unknown, number: number) => {
    if (!failure || number < failure.number) failure = { error, number }
  }
  for await (const { text, number } of lines(process.stdin, signal)) {
    try {
      const { category, streamId, expectedVersion = 'any', ...event } = json(text, `line ${number}`) as any
      const stream = { category, streamId }
      const append: Promise<void> = meow
        .append(stream, event, { expectedVersion })
        .then((result) => printResult(context, stream, result))
        .catch((error) => fail(error, number))
        .finally(() => {
          pending.delete(append)
          settled.fire()
        })
      pending.add(append)
    } catch (error) {
      fail(error, number)
    }
    if (failure) break
    if (pending.size >= IN_FLIGHT) await settled.next()
  }
  await Promise.all(pending)
  if (failure) {
    context.stderr.note(
      `line ${failure.number} failed; of the later lines, only those reported here as appended were written`,
    )
    throw failure.error
  }
}

async function printResult({ out }: Context, stream: StreamRef, result: AppendResult): Promise<void> {
  if (out.json) return out.line(JSON.stringify(result))
  const what = result.deduplicated ? 'already known:' : 'appended'
  for (const { version, position, type } of result.events)
    await out.line(`${what} ${streamName(stream)}@${version} ${type} at position ${position}`)
}

function expected(text: string): ExpectedVersion {
  if (text === 'any' || text === 'no-stream' || text === 'stream-exists') return text
  const version = Number(text)
  if (!/^(-1|\d+)$/.test(text) || version > MAX_INT)
    throw new InvalidArgumentError(`It must be any, no-stream, stream-exists or a version up to ${MAX_INT}.`)
  return version
}
