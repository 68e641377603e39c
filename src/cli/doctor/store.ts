// Checks of the store: privileges, row security, migration and health.
import { examine, staleness } from '../../database/health.ts'
import { difference } from '../../database/installed.ts'
import { guardedTables, whyHidden } from '../../database/row-security.ts'
import { statements } from '../../database/statements.ts'
import type { Check, Right } from './check.ts'
import { ok, problem, RIGHTS, warning } from './check.ts'

const ROLES: Record<Right, string> = {
  read: 'reader',
  append: 'writer',
  subscribe: 'executor',
  manage: 'manager',
  publish: 'publisher',
  migrate: 'migrator',
}

export const rights: Check = {
  name: 'rights',
  needs: 'server',
  blocks: ['schema', 'store'],
  async run({ db, may }) {
    const [row] = await db.query(statements.doctorRights, { schema: db.schema })
    const [role, there, usage, ...flags] = row!
    const has = RIGHTS.filter((_, i) => flags[i] === 't')
    if (there !== 't')
      return has.includes('migrate')
        ? ok(`${role} may create the store`)
        : problem(
            `${role} may not create schema "${db.schema}", which does not exist`,
            'migrate as a role that may create it (SECURITY.md: Roles), or correct --schema',
          )
    const needed: Right[] = [...new Set<Right>(['read', ...may])]
    const missing = needed.filter((right) => !has.includes(right) || usage !== 't')
    if (missing.length > 0)
      return {
        ...problem(
          `${role} may not ${missing.join(', ')} in schema "${db.schema}"${usage === 't' ? '' : ' (the privilege usage is missing too)'}`,
          `run the grants of SECURITY.md for ${missing.map((right) => `a ${ROLES[right]}`).join(' and ')} as the owner, and grant that role to ${role}; or connect as another role`,
        ),
        ...(missing.includes('read') ? {} : { blocks: [] }),
      }
    const not = RIGHTS.filter((right) => !has.includes(right))
    return ok(`${role} may ${has.join(', ')}${not.length > 0 ? `; not ${not.join(', ')}` : ''}`)
  },
}

export const rowSecurity: Check = {
  name: 'row security',
  needs: 'schema',
  blocks: ['store'],
  async run({ db }) {
    return (await guardedTables(db)).map((guarded) => {
      if (guarded.isReadable)
        return warning(
          `row security is on for table ${guarded.table}: ${guarded.role} sees only the rows that its policies allow`,
          'connect as a role with BYPASSRLS if you need all rows',
        )
      const { problem: what, mend } = whyHidden(db, guarded)
      return problem(what, `${mend};`)
    })
  },
}

export const migration: Check = {
  name: 'migration',
  needs: 'schema',
  blocks: ['store'],
  async run({ db }) {
    const found = await difference(db)
    const { files } = found
    const remedy = `meowmx migrate --schema ${db.schema}`
    if (files.length === 0) {
      const reason = (await examine(db)).astray ?? staleness(db, found)
      return reason ? problem(reason, remedy) : ok(`schema "${db.schema}" is up to date`)
    }
    const what = files.length === 1 ? files[0]!.name : `${files[0]!.name} to ${files.at(-1)!.name}`
    return problem(`schema "${db.schema}" is not migrated: ${what} not applied`, remedy)
  },
}

export const objects: Check = {
  name: 'objects',
  needs: 'store',
  async run({ db }) {
    const { expectedObjects } = await import('../../database/expected-objects.ts')
    const found = await db.query(statements.doctorObjects, { schema: db.schema, ...expectedObjects })
    if (found.length === 0) return ok('functions, triggers, indexes and privileges are those of this version')
    return found.map(([kind, name, state]) => {
      if (kind === 'privilege')
        return warning(
          `role ${name} may read events, and lacks ${state}`,
          'run the grants of SECURITY.md again, as after each update',
        )
      if (kind === 'index')
        return problem(
          `index ${name} is ${state}`,
          'make it again as the owner: the statement is in sql/schema of the package; reindex one that is not valid',
        )
      return problem(
        `${kind} ${name} ${state === 'another text' ? 'is not as this version installs it' : `is ${state}`}`,
        `delete from ${db.quotedSchema}.functions where name = '${name}'; and then meowmx migrate --schema ${db.schema}, which installs it`,
      )
    })
  },
}

export const health: Check = {
  name: 'health',
  needs: 'store',
  async run({ db }) {
    const { ailments } = await examine(db)
    if (ailments.length === 0) return ok('triggers and sequence are correct')
    return ailments.map(({ problem: what, mend }) => problem(`events could be lost: ${what}`, `${mend};`))
  },
}
