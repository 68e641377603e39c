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

/** Appends that are on their way at most, where many come. */
const IN_FLIGHT = 256

/** The original's save-event. */
export function append(program: Command, run: Run): void {
  program
    .command('append')
    .description('append an event to a stream, or many from stdin')
    .argument(
      '[category]',
      'of the stream; -: lines of stdin, {"category", "streamId", "type", "data", …} each',
    )
    .argument('[streamId]', 'of the stream')
    .argument('[type]', 'of the event; -: lines of stdin, {"type", "data", …} each, all of them or none')
    .argument('[data]', 'JSON; -: all of stdin; default: null')
    .option('--metadata <json>', 'a JSON object')
    .option('--id <uuid>', 'makes a retry safe: the same id again appends nothing')
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
Of a line, "metadata", "id" and (with a category) "expectedVersion" may be left out. Numbers are as precise as JavaScript's.`,
    )
    .action(
      run(async (context, ...[category, streamId, type, data, options]: Arguments) => {
        const { expectedVersion } = options
        if (category === '-' && streamId === undefined) {
          if (Object.keys(options).length > 0)
            throw new UsageError('options belong into the lines, where these name the stream')
          return appendLines(context, await context.open())
        }
        if (category === undefined || streamId === undefined || type === undefined)
          throw new UsageError('append needs <category> <streamId> <type>, or - (see meowmx append --help)')
        const stream = { category, streamId }
        const events = type === '-' ? await lineEvents() : [await event(type, data, options)]
        const meow = await context.open()
        await tell(
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

/** Each line an append of its own, in order within a stream; the first that fails ends it. */
async function appendLines(context: Context, meow: Meow): Promise<void> {
  const { signal } = context
  const flying = new Set<Promise<void>>()
  const landed = new Condition()
  let failure: { error: unknown; number: number } | undefined
  const fail = (error: unknown, number: number) => {
    if (!failure || number < failure.number) failure = { error, number }
  }
  for await (const { text, number } of lines(process.stdin, signal)) {
    try {
      const { category, streamId, expectedVersion = 'any', ...event } = json(text, `line ${number}`) as any
      const stream = { category, streamId }
      const flight: Promise<void> = meow
        .append(stream, event, { expectedVersion })
        .then((result) => tell(context, stream, result))
        .catch((error) => fail(error, number))
        .finally(() => {
          flying.delete(flight)
          landed.fire()
        })
      flying.add(flight)
    } catch (error) {
      fail(error, number)
    }
    if (failure) break
    if (flying.size >= IN_FLIGHT) await landed.next()
  }
  await Promise.all(flying)
  if (failure) {
    context.talk.note(
      `line ${failure.number} failed; of those behind it only what is told here as appended was on its way`,
    )
    throw failure.error
  }
}

async function tell({ out }: Context, stream: StreamRef, result: AppendResult): Promise<void> {
  if (out.json) return out.line(JSON.stringify(result))
  const what = result.deduplicated ? 'known already' : 'appended'
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
