import { createHash } from 'node:crypto'
import type pg from 'pg'
import { z } from 'zod'
import { ValidationError } from '../core/errors.ts'
import { methodSchema, ms, textSchema } from '../core/fields.ts'
import { MAX_INT } from '../core/numbers.ts'
import { parse } from '../core/validate.ts'
import type { Selection, Selector } from '../events/selector.ts'
import { refuseWide, select, selectorOf, selectorShape } from '../events/selector.ts'
import type { AnyCategory, SelectedEvent } from '../events/types.ts'
import type { HandlerContext } from '../subscriptions/invoke.ts'
import { batchOptionsSchema, subscriptionOptionsSchema } from '../subscriptions/options.ts'
import type { RetryOptions } from '../subscriptions/retry.ts'

/** What `handle` of a projection gets in addition to the events. */
export interface ProjectionContext extends Required<HandlerContext> {
  /** The client of the transaction that also writes the checkpoint. Names without a schema are the version's own. */
  client: pg.ClientBase
  /** Whether readers have not seen this version yet: it is being built, or has not been switched to. */
  rebuilding: boolean
}

/** A read model that is built from events, in tables of its own. Its selector may be any. */
export interface ProjectionDefinition<C extends string | AnyCategory = string | AnyCategory>
  extends Selector<C> {
  /** Its name. Together with the store's name and the version it must fit into 58 bytes. */
  name: string
  /** A whole number, minimum 1. Every change of the tables or of their content needs a new version. */
  version: number
  /** Makes the tables: SQL, or a function that runs it. Names have no schema, because each version has a schema of its own. */
  setup: string | ((client: pg.ClientBase) => unknown)
  /**
   * Writes events into the tables: those of one partition, in order, in one transaction with the checkpoint. So each event counts
   * once, whatever fails.
   */
  handle(events: SelectedEvent<C>[], context: ProjectionContext): unknown
  /** How many events `handle` gets at most. Default 500, minimum 1, maximum 100_000. */
  batchSize?: number | undefined
  /** How many partitions processes share; a hash assigns each stream to one. Default 1, minimum 1, at most 1024. */
  partitions?: number | undefined
  /** The schema that holds the views which readers query. Default `'public'`; it must exist. */
  expose?: string | undefined
  /**
   * When the version becomes the live one. Default `'auto'`: as soon as it has caught up, if it is newer than the live one and has no
   * parked streams. `'manual'`: when `activateProjection` is called.
   */
  activate?: 'auto' | 'manual' | undefined
  /** How often and how soon a failed handler is tried again. */
  retry?: RetryOptions | undefined
  /** After how long other processes take the partitions of a dead one. In ms; default 10_000, minimum 100. */
  leaseMs?: number | undefined
}

const { batchSize, retry } = batchOptionsSchema.shape
const { partitions, leaseMs } = subscriptionOptionsSchema.shape

/** PostgreSQL cuts longer names off. */
const MAX_BYTES = 63
/** Room for the number of a rebuild. */
const SUFFIX = '_r999'.length

const fits = (text: string) => Buffer.byteLength(text) <= MAX_BYTES

const definitionSchema = z.strictObject({
  ...selectorShape,
  name: textSchema.refine(
    (name) => fits(`_${name}_v1_r999`),
    'must be so short that `<store>_<name>_v<version>` has at most 58 bytes',
  ),
  version: z.number().int().min(1).max(MAX_INT),
  setup: z.union([textSchema, methodSchema], { error: 'must be SQL, or a function that runs it' }),
  handle: methodSchema,
  batchSize,
  partitions,
  expose: textSchema
    .refine(fits, 'must be at most 63 bytes long')
    .refine((s) => !s.startsWith('pg_'), 'must not start with pg_, which PostgreSQL keeps for itself')
    .default('public'),
  activate: z.enum(['auto', 'manual']).default('auto'),
  retry,
  leaseMs: leaseMs.default(10_000).pipe(ms(100)),
})

/** A definition that is checked and has all defaults. */
export interface Checked
  extends Readonly<Omit<z.output<typeof definitionSchema>, 'category' | 'setup' | 'handle'>> {
  readonly setup: ProjectionDefinition['setup']
  readonly handle: (events: any[], context: ProjectionContext) => unknown
  readonly selection: Selection
  /** Its selector, with the zod categories. */
  readonly selector: Selector
}

/** Checks a definition, and completes it. */
export function checkDefinition(definition: ProjectionDefinition<any>): Checked {
  const path = 'definition'
  const { category: _, types, streamId, tags, ...checked } = parse(definitionSchema, definition, path)
  refuseWide(definition, path)
  // Its categories may be zod categories; of the parsed definition, they are names.
  const selector = selectorOf({ category: definition.category, types, streamId, tags })
  const { handle, setup } = definition
  return Object.freeze({
    ...checked,
    setup,
    handle: (events: any[], context: ProjectionContext) => handle.call(definition, events, context),
    selector,
    selection: select(selector, path),
  })
}

/** The schema of a version's tables, and its subscription; checks that the name of the schema fits. */
export function placesOf(store: string, { name, version }: Pick<Checked, 'name' | 'version'>) {
  const schema = `${store}_${name}_v${version}`
  const bytes = Buffer.byteLength(schema)
  if (bytes > MAX_BYTES - SUFFIX)
    throw new ValidationError(
      'definition.name',
      `must be shorter: the schema "${schema}" of this version would have ${bytes} bytes, and may have ${MAX_BYTES - SUFFIX}`,
      name,
    )
  return { schema, subscription: `projection:${name}:v${version}` }
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex')

/** What tells whether a definition has changed. White space does not count. */
export const hashesOf = ({ setup, selection }: Checked) => ({
  setupHash: hash((typeof setup === 'string' ? setup : String(setup)).trim().replaceAll(/\s+/g, ' ')),
  selectorHash: hash(selection.key),
})

/**
 * Defines a projection: a read model in tables of its own, which readers query through views. `meow.projection` runs it.
 *
 * Each version has its own schema and its own checkpoint. A new version is built beside the live one, and then all views are
 * switched over in one transaction. The types of the events follow from the categories.
 *
 * @throws ValidationError if a part is missing or invalid
 * @example
 * const orders = defineProjection({
 *   name: 'orders',
 *   version: 1,
 *   category: Order,
 *   setup: 'create table orders (id text primary key, price int not null)',
 *   handle: async (events, { client }) => {
 *     for (const event of events)
 *       if (event.known && event.type === 'OrderPlaced')
 *         await client.query('insert into orders values ($1, $2)', [event.streamId, event.data.price])
 *   },
 * })
 */
export function defineProjection<C extends string | AnyCategory = string>(
  definition: ProjectionDefinition<C>,
): ProjectionDefinition<C> {
  checkDefinition(definition)
  return Object.freeze({ ...definition })
}
