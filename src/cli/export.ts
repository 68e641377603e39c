// The command `export`.
import { open } from 'node:fs/promises'
import type { Command } from 'commander'
import { hasTags, TAGS_KEY } from '../events/tags.ts'
import type { PageRow } from '../read/page.ts'
import { integer, list, UsageError } from './arguments.ts'
import type { Context, Run } from './context.ts'
import { lastPosition } from './last-position.ts'
import { members } from './members.ts'
import { selector } from './read.ts'
import { counted } from './stderr.ts'

interface Options {
  category?: string[]
  stream?: string
  types?: string[]
  tags?: string[]
  after?: number
}

const PAGE = 1_000

// The function is not called `export`, because that is a keyword.
export function exportEvents(program: Command, run: Run): void {
  program
    .command('export')
    .description('write the events that exist now as lines of JSON, exactly as they are stored')
    .argument('[file]', 'if it exists, new events are added after its last complete line; default: stdout')
    .option('--category <names>', 'only these categories, a,b; default: all', list)
    .option('--stream <id>', 'only this stream of the category')
    .option('--types <names>', 'only these types, a,b', list)
    .option('--tags <tags>', 'only events that carry all of these tags, a,b', list)
    .option('--after <position>', 'start after this position', integer())
    .action(
      run(async (context, file: string | undefined, options: Options) => {
        const sink = file === undefined ? stdout(context) : await fileSink(file, options.after)
        try {
          await copy(context, options, sink, file ?? 'stdout')
        } finally {
          await sink.close()
        }
      }),
    )
}

interface Sink {
  /** The position of the last event that is already there. */
  readonly after: number | undefined
  write(lines: string): Promise<void>
  close(): Promise<void>
}

function stdout({ out }: Context): Sink {
  return {
    after: undefined,
    write: async (lines) => {
      await out.line(lines.slice(0, -1))
      await out.flush()
    },
    close: async () => {},
  }
}

/** Continues where an earlier export into the file ended, even if that was in the middle of a line. */
async function fileSink(path: string, after: number | undefined): Promise<Sink> {
  const file = await open(path, 'a+')
  try {
    const { position, end } = await lastPosition(file, path)
    if (position !== undefined && after !== undefined)
      throw new UsageError(
        `${path} continues after position ${position}: leave --after out, or choose another file`,
      )
    if (end < (await file.stat()).size) await file.truncate(end)
    return {
      after: position,
      write: async (lines) => void (await file.appendFile(lines)),
      close: async () => {
        await file.sync().catch(() => {}) // for instance a pipe
        await file.close()
      },
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function copy(context: Context, options: Options, sink: Sink, name: string): Promise<void> {
  const { signal, stderr } = context
  const db = await context.database()
  const [{ categoryOf }, { PageReader }, { Reader }, { select }] = await Promise.all([
    import('../read/page.ts'),
    import('../read/page-reader.ts'),
    import('../read/reader.ts'),
    import('../events/selector.ts'),
  ])
  if (context.options.embedded !== undefined) await (await import('../database/migrate.ts')).migrate(db)
  const selection = select(selector(options))
  const horizon = await new Reader(db).horizon(selection)
  const pages = new PageReader(db, selection)
  const first = sink.after ?? options.after ?? 0
  const progress = stderr.progress(`exported to ${name}:`)
  let done = 0
  let position = first
  try {
    while (position < horizon && !signal.aborted) {
      const page = await pages.rows(position, horizon, PAGE)
      const lines = page.rows.map((row) => line(row, categoryOf(row, page.only)))
      if (lines.length > 0) await sink.write(lines.join(''))
      position = page.position
      done += page.rows.length
      progress.update(done, (position - first) / (horizon - first))
    }
  } finally {
    progress.end()
  }
  const before = sink.after === undefined ? '' : `, after those up to position ${sink.after}`
  stderr.note(
    `${counted(done, 'event')} exported to ${name}${before}${signal.aborted ? '; it was interrupted: run it again' : ''}`,
  )
}

/** A line as `read --json` prints it, but data and metadata exactly as stored. In JSON text, line breaks occur only between values. */
function line(row: PageRow, category: string): string {
  const [position, ms, id, version, , streamId, type, data, stored] = row
  const { tags, metadata } = apart(stored)
  const stream = `"category":${JSON.stringify(category)},"streamId":${JSON.stringify(streamId)},"version":${version}`
  const what = `"type":${JSON.stringify(type)},"data":${oneLine(data)},"metadata":${oneLine(metadata)}${tags}`
  const time = new Date(Number(ms)).toISOString()
  return `{"id":"${id}",${stream},"position":${position},${what},"recordedAt":"${time}"}\n`
}

/** Metadata without the tags with which it is stored, and the tags as a property of the line; both as they are written. */
function apart(stored: string): { tags: string; metadata: string } {
  if (!hasTags(stored)) return { tags: ',"tags":[]', metadata: stored }
  const tags = members(stored).get(TAGS_KEY)!
  const rest = stored.slice(stored.indexOf(tags) + tags.length)
  return { tags: `,"tags":${tags}`, metadata: rest.startsWith(',') ? `{${rest.slice(1)}` : '{}' }
}

const oneLine = (json: string): string => json.replaceAll(/[\r\n]/g, ' ')
