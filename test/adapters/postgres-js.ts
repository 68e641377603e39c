import postgres from 'postgres'
import { fromPostgresJs } from '../../src/adapters/index.ts'
import type { Library, Place } from './library.ts'
import { CONNECTIONS } from './library.ts'

export function postgresJs({ url, schema }: Place): Library {
  const root = postgres(url, { max: CONNECTIONS, transform: postgres.camel })
  return {
    name: 'postgres.js',
    transaction: (body) =>
      root.begin((sql) =>
        body({
          own: sql,
          client: fromPostgresJs(sql),
          again: () => fromPostgresJs(sql),
          note: async (name) => await sql`insert into ${sql(schema)}.notes values (${name})`,
        }),
      ) as ReturnType<typeof body>,
    refuse: () => fromPostgresJs(root as never),
    keepsFailures: true,
    close: () => root.end(),
  }
}
