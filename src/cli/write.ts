// The command `write`.
import { randomInt, randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { integer, list } from './arguments.ts'
import type { Context, Run } from './context.ts'
import { counted } from './stderr.ts'

interface Options {
  category: string
  eventTypes: string[]
  percentNew: number
  maxLength: number
  count?: number
  concurrency: number
}

/** How many streams may be open (not yet full) at the same time. */
const MAX_OPEN = 10_000

/** Registers the command. The original meowmx called it aggregate-writer. */
export function write(program: Command, run: Run): void {
  program
    .command('write')
    .description('append to random streams until Ctrl-C, each with its expected version, and show the rate')
    .option('--category <name>', 'category of the streams', 'demo')
    .option('--event-types <names>', 'types of the events, a,b; default: Happened', list)
    .option('--percent-new <n>', 'how many of 100 events start a new stream', integer(), 25)
    .option('--max-length <n>', 'largest number of events in a stream', integer(1), 10)
    .option('--count <n>', 'end after this many events', integer(1))
    .option('--concurrency <n>', 'number of appends that run at once', integer(1), 16)
    .action(
      run(async (context, options: Omit<Options, 'eventTypes'> & { eventTypes?: string[] }) => {
        await writeStreams(context, { ...options, eventTypes: options.eventTypes ?? ['Happened'] })
      }),
    )
}

/** A stream that is not full, and the version of its last event. */
interface OpenStream {
  readonly streamId: string
  version: number
}

async function writeStreams(context: Context, options: Options): Promise<void> {
  const { category, eventTypes, percentNew, maxLength, count: wanted = Infinity, concurrency } = options
  const { signal, stderr, out } = context
  const meow = await context.open()
  const open: OpenStream[] = [] // streams that no append is writing to now
  let [begun, written, streams] = [0, 0, 0]
  const take = (): OpenStream => {
    if (open.length === 0 || (randomInt(100) < percentNew && open.length < MAX_OPEN)) {
      streams++
      return { streamId: randomUUID(), version: -1 }
    }
    const i = randomInt(open.length)
    const stream = open[i]!
    open[i] = open.at(-1)!
    open.pop()
    return stream
  }
  const progress = stderr.progress(`appended to ${category}:`)
  const writeOn = async () => {
    while (begun < wanted && !signal.aborted) {
      begun++
      const stream = take()
      const { streamId, version } = stream
      const data = { version: version + 1, random: randomUUID() }
      const type = eventTypes[randomInt(eventTypes.length)]!
      await meow.append({ category, streamId }, { type, data }, { expectedVersion: version })
      stream.version++
      if (stream.version + 1 < maxLength) open.push(stream)
      progress.update(++written, wanted === Infinity ? undefined : written / wanted)
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, writeOn))
  } finally {
    progress.end()
  }
  const perSecond = progress.rate
  stderr.note(`${counted(perSecond, 'event')} a second`)
  await out.say(
    { category, events: written, streams, perSecond },
    `${counted(written, 'event')} in ${counted(streams, 'stream')} of ${category}`,
  )
}
