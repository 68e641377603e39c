import type pg from 'pg'
import { until } from './until.ts'

/** Functions of a store that answer with an error for a while, as a server does that can not do what it is asked. */
export interface Refusal {
  /** How often they were called meanwhile. */
  tries(): Promise<number>
  /** They work again. */
  end(): Promise<void>
}

/**
 * Puts functions in the place of a store's own that count how often they are called, and raise an error with this SQLSTATE. The
 * count is kept by a sequence, which no rollback sets back.
 */
export async function refuse(
  sql: pg.Client,
  schema: string,
  names: readonly string[],
  code: string,
): Promise<Refusal> {
  await sql.query(`create sequence if not exists ${schema}.tries`)
  await sql.query(`select setval('${schema}.tries', 1, false)`)
  const { rows } = await sql.query(
    `select pg_get_functiondef(p.oid) as definition from pg_proc p
     where p.pronamespace = $1::regnamespace and p.proname = any ($2)`,
    [schema, names],
  )
  const own: string[] = rows.map(({ definition }) => definition)
  const broken = own.map((definition) => {
    const [head] = definition.split(/^ LANGUAGE /m) as [string]
    return `${head} LANGUAGE plpgsql AS $refusal$
      #variable_conflict use_column
      begin
        perform nextval('${schema}.tries');
        raise exception 'not now' using errcode = '${code}';
      end $refusal$`
  })
  for (const definition of broken) await sql.query(definition)
  return {
    tries: async () => {
      const { rows } = await sql.query(
        `select last_value - (not is_called)::int as tries from ${schema}.tries`,
      )
      return Number(rows[0].tries)
    },
    end: async () => {
      for (const definition of own) await sql.query(definition)
    },
  }
}

/** Waits until it was refused this many times. */
export async function met(refusal: Refusal, times: number, what: string): Promise<void> {
  await until(async () => (await refusal.tries()) >= times, { what, timeoutMs: 30_000 })
}
