import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { MAX_INT } from '../core/numbers.ts'
import { redactText } from '../core/secrets.ts'
import { jsonProblem, UsageError } from './arguments.ts'
import type { Copied } from './bulk.ts'
import { Bulk } from './bulk.ts'
import type { Context, Run } from './context.ts'
import { type Line, lines } from './lines.ts'
import { members } from './members.ts'

// `import` is a word of the language.
export function importEvents(program: Command, run: Run): void {
  program
    .command('import')
    .description(
      'append exported events as they are: ids, versions, times, order; what is there already is passed over',
    )
    .argument('[file]', 'lines of JSON, as export and read --json print them; default or -: stdin')
    .option('--renumber', 'versions follow what each stream has, for a file that holds a part of its streams')
    .addHelpText(
      'after',
      `
Run it again where it was interrupted, or where the file has grown: it goes on. A batch of 1,000 lines is written or not
written as a whole. Positions are the store's own; their order is kept.
Of a line, "id", "version", "metadata" and "recordedAt" may be left out; without "id" it is written each time.`,
    )
    .action(
      run(async (context, file: string | undefined, { renumber = false }: { renumber?: boolean }) => {
        const { out, talk, signal } = context
        const db = await context.database()
        const { checkHealth } = await import('../database/health.ts')
        const { migrate } = await import('../database/migrate.ts')
        if (context.options.embedded !== undefined) await migrate(db)
        await checkHealth(db)
        const named = file === undefined || file === '-' ? undefined : file
        const bulk = new Bulk(db, renumber)
        const progress = talk.progress(`imported from ${named ?? 'stdin'}:`)
        try {
          await copy(context, named, bulk, (share) => bulk.report(progress, share))
          await bulk.flush()
        } catch (error) {
          if (bulk.total > 0) talk.note(`before it failed: ${bulk}`)
          throw error
        } finally {
          progress.end()
        }
        if (signal.aborted) talk.note('ended before the end of it: run it again')
        await out.say({ written: bulk.written, known: bulk.known }, String(bulk))
      }),
    )
}

async function copy(
  { signal }: Context,
  file: string | undefined,
  bulk: Bulk,
  report: (share?: number) => void,
) {
  const size = file === undefined ? undefined : (await stat(file)).size
  const input = file === undefined ? process.stdin : createReadStream(file)
  for await (const line of lines(input, signal)) {
    await bulk.add(checked(line))
    report(size && line.bytes / size)
  }
}

/** A line that is worth sending; the server checks the rest. */
function checked({ text, number }: Line): Copied {
  const refuse = (what: string): never => {
    throw new UsageError(`line ${number} ${what}: ${redactText(text.slice(0, 10_000)).slice(0, 80)}`)
  }
  let event: Record<string, unknown>
  try {
    event = JSON.parse(text)
  } catch (error) {
    return refuse(`is no JSON (${jsonProblem(error)})`)
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return refuse('is no event')
  for (const name of ['category', 'streamId', 'type'])
    if (typeof event[name] !== 'string' || event[name] === '') return refuse(`has no ${name}`)
  if (!('data' in event)) return refuse('has no data')
  const raw = members(text)
  const { id = null, version = null, metadata = null, recordedAt = null } = event as Partial<Copied>
  const isVersion = Number.isInteger(version) && version! >= 0 && version! <= MAX_INT
  if (version !== null && !isVersion)
    return refuse(`has a version that is no whole number from 0 to ${MAX_INT}`)
  if (typeof metadata !== 'object' || Array.isArray(metadata)) return refuse('has metadata that is no object')
  return {
    ...(event as Pick<Copied, 'category' | 'streamId' | 'type'>),
    id,
    version,
    recordedAt,
    data: raw.get('data')!,
    metadata: metadata === null ? null : raw.get('metadata')!,
    from: `line ${number}`,
  }
}
