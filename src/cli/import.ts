// The command `import`.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { messageOf } from '../core/describe.ts'
import { MAX_INT } from '../core/numbers.ts'
import { redactText } from '../core/secrets.ts'
import { checkTags, NO_TAGS, refuseTagsKey, withTags } from '../events/tags.ts'
import { jsonProblem, UsageError } from './arguments.ts'
import type { CopiedEvent } from './bulk-import.ts'
import { BulkImport } from './bulk-import.ts'
import type { Context, Run } from './context.ts'
import { type Line, lines } from './lines.ts'
import { members } from './members.ts'

// The function is not called `import`, because that is a keyword.
export function importEvents(program: Command, run: Run): void {
  program
    .command('import')
    .description(
      'append exported events with their ids, versions, times and order; events that are already there are skipped',
    )
    .argument('[file]', 'lines of JSON, as export and read --json print them; - or nothing: stdin')
    .option(
      '--renumber',
      'give events the next versions of their streams, if the file has only a part of the streams',
    )
    .addHelpText(
      'after',
      `
If it was interrupted, or the file has grown, run it again: it continues. A batch of 1,000 lines is written as a whole,
or not at all. Events get new positions, in the same order.
In a line you may leave out "id", "version", "metadata", "tags" and "recordedAt"; a line without "id" is written each time.`,
    )
    .action(
      run(async (context, file: string | undefined, { renumber = false }: { renumber?: boolean }) => {
        const { out, stderr, signal } = context
        const db = await context.database()
        const { checkHealth } = await import('../database/health.ts')
        const { migrate } = await import('../database/migrate.ts')
        if (context.options.embedded !== undefined) await migrate(db)
        await checkHealth(db)
        const named = file === undefined || file === '-' ? undefined : file
        const bulk = new BulkImport(db, renumber)
        const progress = stderr.progress(`imported from ${named ?? 'stdin'}:`)
        try {
          await copy(context, named, bulk, (share) => bulk.report(progress, share))
          await bulk.flush()
        } catch (error) {
          if (bulk.total > 0) stderr.note(`before it failed: ${bulk}`)
          throw error
        } finally {
          progress.end()
        }
        if (signal.aborted) stderr.note('it was interrupted before the end: run it again')
        await out.say({ written: bulk.written, known: bulk.known }, String(bulk))
      }),
    )
}

async function copy(
  { signal }: Context,
  file: string | undefined,
  bulk: BulkImport,
  report: (share?: number) => void,
) {
  const size = file === undefined ? undefined : (await stat(file)).size
  const input = file === undefined ? process.stdin : createReadStream(file)
  for await (const line of lines(input, signal)) {
    await bulk.add(checked(line))
    report(size && line.bytes / size)
  }
}

/** Checks a line before it is sent; the server checks the rest. */
function checked({ text, number }: Line): CopiedEvent {
  const refuse = (what: string): never => {
    throw new UsageError(`line ${number} ${what}: ${redactText(text.slice(0, 10_000)).slice(0, 80)}`)
  }
  let event: Record<string, unknown>
  try {
    event = JSON.parse(text)
  } catch (error) {
    return refuse(`is not JSON (${jsonProblem(error)})`)
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return refuse('is not an event')
  for (const name of ['category', 'streamId', 'type'])
    if (typeof event[name] !== 'string' || event[name] === '') return refuse(`has no ${name}`)
  if (!('data' in event)) return refuse('has no data')
  const raw = members(text)
  const given = event.metadata as object | null | undefined
  let tags: readonly string[]
  try {
    tags = 'tags' in event ? checkTags(event.tags, 'tags') : NO_TAGS
    if (typeof given === 'object' && given !== null) refuseTagsKey(given, 'metadata')
  } catch (error) {
    return refuse(`is refused (${messageOf(error)})`)
  }
  const { id = null, version = null, metadata = null, recordedAt = null } = event as Partial<CopiedEvent>
  const isVersion = Number.isInteger(version) && version! >= 0 && version! <= MAX_INT
  if (version !== null && !isVersion)
    return refuse(`has a version that is not a whole number from 0 to ${MAX_INT}`)
  if (typeof metadata !== 'object' || Array.isArray(metadata))
    return refuse('has metadata that is not an object')
  return {
    ...(event as Pick<CopiedEvent, 'category' | 'streamId' | 'type'>),
    id,
    version,
    recordedAt,
    data: raw.get('data')!,
    metadata: withTags(metadata === null ? '{}' : raw.get('metadata')!, tags),
    from: `line ${number}`,
  }
}
