import type pg from 'pg'
import type { SqlClient } from '../core/sql-client.ts'
import { runAsText } from './as-text.ts'
import { isPgClient } from './failures.ts'
import { sessionError, watchErrors } from './session.ts'

/**
 * Runs commands that have neither values nor rows, such as savepoints, on any client: one after the other, in one round trip if it
 * is a client of pg. Rejects with what the server or the client says.
 */
export async function runCommands(
  client: SqlClient,
  commands: readonly string[],
  timeoutMs: number,
): Promise<void> {
  if (!isPgClient(client)) {
    for (const command of commands) await runAsText(client, command, [], timeoutMs)
    return
  }
  watchErrors(client)
  const config = { text: commands.join('; '), query_timeout: timeoutMs } as pg.QueryConfig
  await client.query(config).catch(async (error) => {
    throw await sessionError(client, error)
  })
}
