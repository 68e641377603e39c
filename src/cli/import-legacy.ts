// The command `import-legacy`.
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import type pg from 'pg'
import { uuidv5 } from '../core/uuid5.ts'
import type { Database } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import { UsageError } from './arguments.ts'
import type { CopiedEvent } from './bulk-import.ts'
import { BulkImport } from './bulk-import.ts'
import type { Context, Run } from './context.ts'
import type { LegacyEvent, LegacyTables } from './legacy.ts'
import { findLegacy, legacyEvents } from './legacy.ts'
import { counted } from './stderr.ts'

interface Options {
  from?: string
  fromSchema?: string
  namespace?: string
  subscription: [name: string, category: string][]
}

const PAGE = 1_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function importLegacy(program: Command, run: Run): void {
  program
    .command('import-legacy')
    .description(
      "copy the events of the original meowmx's tables (es_events or es_event), which it only reads",
    )
    .option('--from <url>', 'the database of these tables; default: that of the store')
    .option('--from-schema <name>', 'the schema of these tables; default: the only schema that has them')
    .option('--namespace <text>', 'text from which ids are derived; default: database.schema.table')
    .option(
      '--subscription <name=category>',
      "create this subscription at the position of the original's; may be given several times",
      pair,
      [],
    )
    .addHelpText(
      'after',
      `
aggregate_type becomes the category, and aggregate_id the stream. Versions count from 0, even if the original's count from 1.
Events come in the order in which the original delivers them: by transaction and id. Ids are UUIDs derived from the original
number, so running it again writes only new events. metadata.legacy = {"id", "transactionId", "version"} keeps the origin.
Stop the programs that append there, or run it again until it writes nothing.`,
    )
    .action(
      run(async (context, options: Options) => {
        const db = await context.database()
        const { checkHealth } = await import('../database/health.ts')
        const { migrate } = await import('../database/migrate.ts')
        if (context.options.embedded !== undefined) await migrate(db)
        await checkHealth(db)
        const source = await connectSource(context, db, options.from)
        const tables = await findLegacy(source, options.fromSchema)
        const bulk = new BulkImport(db)
        await copy(
          context,
          source,
          { ...tables, ...(options.namespace ? { namespace: options.namespace } : {}) },
          bulk,
        )
        const { written, known } = bulk
        const from = `${tables.schema}.${tables.events}`
        await context.out.say({ from, written, known }, `${from}: ${bulk}`)
        if (context.signal.aborted)
          return context.stderr.note('it was interrupted before the last event: run it again')
        for (const [name, category] of options.subscription)
          await takeOver(context, db, source, tables, name, category)
      }),
    )
}

async function connectSource(context: Context, db: Database, url?: string): Promise<pg.Client> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ ...db.connectionConfig('meowmx import-legacy', url), query_timeout: 0 })
  client.on('error', () => {}) // the query that fails reports it
  await client.connect().catch((error) => {
    throw db.translate(error)
  })
  context.closing(() => client.end())
  return client
}

async function copy(
  context: Context,
  source: pg.Client,
  tables: LegacyTables,
  bulk: BulkImport,
): Promise<void> {
  const { signal, stderr } = context
  const progress = stderr.progress(`imported from ${tables.schema}.${tables.events}:`)
  const total = Number(
    (await source.query(`select reltuples from pg_class where oid = $1::regclass`, [tableOf(tables)])).rows[0]
      .reltuples,
  )
  let gaps = 0
  try {
    for await (const page of legacyEvents(source, tables, PAGE)) {
      if (signal.aborted) return
      for (const event of page) {
        if (event.version - event.nth > 1) gaps++
        await bulk.add(toCopied(event, tables.namespace))
      }
      bulk.report(progress, total > 0 ? Math.min(bulk.total / total, 1) : undefined)
    }
    await bulk.flush()
  } catch (error) {
    if (bulk.total > 0) stderr.note(`before the failure: ${bulk}`)
    throw error
  } finally {
    progress.end()
  }
  if (gaps > 0)
    stderr.note(
      `${counted(gaps, 'event')} came after gaps in the versions of their aggregates: their new versions have no gaps`,
    )
}

const tableOf = ({ schema, events }: LegacyTables) => `"${schema.replaceAll('"', '""')}".${events}`

function toCopied(event: LegacyEvent, namespace: string): CopiedEvent {
  const { id, aggregateId, aggregateType, transaction, version, nth, type, data } = event
  const legacy = { id: number(id), transactionId: number(transaction), version }
  return {
    id: UUID.test(id) ? id : uuidv5(`${namespace}/${aggregateId}/${id}`),
    category: aggregateType,
    streamId: aggregateId,
    version: nth,
    type,
    data,
    metadata: JSON.stringify({ legacy }),
    recordedAt: null,
    from: `event ${id}`,
  }
}

/** A number if JavaScript can hold it exactly, otherwise the text. */
const number = (text: string): number | string => (Number.isSafeInteger(Number(text)) ? Number(text) : text)

async function takeOver(
  context: Context,
  db: Database,
  source: pg.Client,
  { schema, subscriptions }: LegacyTables,
  name: string,
  category: string,
): Promise<void> {
  const { rows } = subscriptions
    ? await source.query(
        `select last_transaction_id::text as transaction, last_event_id::text as id
         from "${schema.replaceAll('"', '""')}".${subscriptions} where subscription_name = $1`,
        [name],
      )
    : { rows: [] }
  if (rows.length === 0)
    throw new UsageError(
      `there is no subscription "${name}" in ${schema}.${subscriptions ?? 'es_event_subscription'}`,
    )
  const there = await db.query(statements.subscriptionNamed, { name })
  if (there.length > 0)
    return context.stderr.note(`subscription "${name}" already exists in this store: it was not changed`)
  const { transaction, id } = rows[0]
  const [row] = await db.query(statements.legacyPosition, { category, transaction, id })
  const position = Number(row![0])
  const selection = { categories: [category], types: null, streamId: null, tags: null }
  await db.query(statements.subscribe, { name, ...selection, partitions: 1, position })
  await context.out.say(
    { name, category, position },
    `subscription "${name}" continues after position ${position}`,
  )
}

function pair(text: string, before: [string, string][]): [string, string][] {
  const at = text.lastIndexOf('=')
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError('It must be <name>=<category>.')
  return [...before, [text.slice(0, at), text.slice(at + 1)]]
}
