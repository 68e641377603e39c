import type pg from 'pg'
import { SchemaError } from '../core/errors.ts'
import type { Database } from './database.ts'
import { functionNames } from './definitions.ts'
import type { Difference } from './installed.ts'
import { difference } from './installed.ts'
import { refuseHidden } from './row-security.ts'
import { statements } from './statements.ts'

/** Refuses a schema that is newer than this library, or in a state in which readers could miss events. */
export async function checkHealth(db: Database): Promise<void> {
  await refuseHidden(db)
  const found = await difference(db)
  const isMigrated = found.files.length === 0 // if not, calls that need the schema say to call migrate()
  const { astray, ailments } = isMigrated ? await examine(db) : { ailments: [] }
  const reason = astray ?? staleness(db, found)
  db.refusal = reason && `${reason}: ${MEND}`
  // It does not reject, because `migrate()` repairs it.
  if (db.refusal) return db.settings.logger.error({ schema: db.schema }, db.refusal)
  if (!ailments[0]) return
  const { problem, mend } = ailments[0]
  throw new SchemaError(db.schema, `schema "${db.schema}" could lose events: ${problem}. To mend it: ${mend}`)
}

/** Set if the functions or triggers of the store are those of another version. */
export function staleness(db: Database, { isThere, definitions, obsolete }: Difference): string | undefined {
  const names = [...definitions.map(({ name }) => name), ...obsolete]
  if (!isThere || names.length === 0) return undefined
  return `the functions of schema "${db.schema}" are not those of this version of meowmx (${shortened(names)})`
}

const MEND = 'call await meow.migrate() once, as the role that owns it'
const LAST_POSITION = BigInt(Number.MAX_SAFE_INTEGER)

interface Examination {
  /** Set if the schema was renamed or copied, so that its functions or triggers work on another one. `migrate()` mends it. */
  readonly astray?: string | undefined
  /** What else is wrong, and the statements that mend it. */
  readonly ailments: readonly { problem: string; mend: string }[]
}

/** What is wrong with a schema that is migrated. */
export async function examine(db: Database, client?: pg.ClientBase): Promise<Examination> {
  const events = `${db.quotedSchema}.events`
  const sequence = `${db.quotedSchema}.events_position_seq`
  const [row] = await db.query(statements.health, { events, sequence, functions: functionNames }, client)
  const [triggersOff, cache, rises, maximum, highest, lastValue, names, place] = row!
  const found: { problem: string; mend: string }[] = []
  if (triggersOff) {
    found.push({
      problem: `triggers of events are missing or not ENABLE ALWAYS (${triggersOff})`,
      mend: triggersOff
        .split(', ')
        .map((name) => `alter table ${events} enable always trigger ${name}`)
        .join('; '),
    })
  }
  if (cache !== '1')
    found.push({
      problem: `its sequence caches ${cache} positions`,
      mend: `alter sequence ${sequence} cache 1`,
    })
  if (rises !== 't')
    found.push({
      problem: 'its sequence of positions can go down',
      mend: `alter sequence ${sequence} increment 1 no cycle`,
    })
  if (BigInt(highest ?? 0) > LAST_POSITION)
    found.push({
      problem: `position ${highest} is above ${LAST_POSITION}, the last one that a JavaScript number holds exactly`,
      mend: `move the events above it to other positions, with meowmx.maintenance = 'on'`,
    })
  else if (BigInt(maximum) > LAST_POSITION)
    found.push({
      problem: `its sequence goes up to ${maximum}, and a JavaScript number holds no position above ${LAST_POSITION} exactly`,
      mend: `alter sequence ${sequence} maxvalue ${LAST_POSITION}`,
    })
  else if (BigInt(highest ?? 0) > BigInt(lastValue)) {
    found.push({
      problem: `position ${highest} is above its sequence (${lastValue})`,
      mend: `select pg_catalog.setval('${sequence.replaceAll("'", "''")}', (select max(position) from ${events}))`,
    })
  }
  return {
    ailments: found,
    ...(names
      ? {
          astray: `schema "${db.schema}" was renamed or copied, and its functions still work in schema ${place} (${shortened(names.split(', '))}), where its events would be written`,
        }
      : {}),
  }
}

/** A few of many names. */
function shortened(all: readonly string[]): string {
  return all.length > 4 ? `${all.slice(0, 3).join(', ')} and ${all.length - 3} more` : all.join(', ')
}
