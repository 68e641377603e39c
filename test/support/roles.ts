// The roles of SECURITY.md, for tests of what each can do and can not do.
import { readFileSync } from 'node:fs'
import type pg from 'pg'
import { databaseUrl } from './store.ts'

/** The statements of SECURITY.md, to the letter but for the schema's name: roles, grants, a login, an erasure. */
export function statementsOf(
  schema: string,
): [roles: string, grants: string, login: string, erasure: string] {
  const text = readFileSync(new URL('../../SECURITY.md', import.meta.url), 'utf8')
  return [...text.matchAll(/```sql\n(.*?)```/gs)].map(([, sql]) =>
    sql!
      .replaceAll(/\bmeowmx_(\w+)/g, `${schema}_$1`)
      .replaceAll(/\bmeowmx\.(?!maintenance\b)/g, `${schema}.`)
      .replaceAll(/\bschema meowmx\b/g, `schema ${schema}`)
      .replaceAll(/\bshop\b/g, `${schema}_shop`),
  ) as never
}

/** Where a role logs in that gets a password for it; `admin` may give it one. */
export async function loginOf(admin: pg.Client, role: string): Promise<string> {
  await admin.query(`alter role ${role} login password 'let me in'`)
  const url = new URL(databaseUrl())
  ;[url.username, url.password] = [role, 'let me in']
  return url.href
}

/** Drops the roles of a schema, and all that they may. */
export async function dropRoles(admin: pg.Client, schema: string): Promise<void> {
  const { rows } = await admin.query('select rolname as name from pg_roles where starts_with(rolname, $1)', [
    schema,
  ])
  for (const { name } of rows) await admin.query(`drop owned by ${name}; drop role ${name}`)
}
