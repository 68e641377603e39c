/**
 * A client with an open transaction, whatever opened it. A client of `pg` can be used as it is; `meowmx/adapters` converts what
 * other libraries pass to a transaction.
 */
export interface SqlClient {
  /** Runs one statement with the values of `$1`, `$2` …, and resolves with its rows by column name. */
  query(text: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

/** A pool has `query` too, but it uses another connection for each query, outside the transaction. */
const OF_POOLS = ['totalCount']
/** TypeORM's objects have `query` too, but it resolves with something else. */
const OF_TYPEORM = ['queryRunner', 'createQueryRunner', 'manager']

/** Whether it can be the client of a transaction, as far as can be seen. */
export const isSqlClient = (client: unknown): client is SqlClient =>
  typeof (client as SqlClient | null | undefined)?.query === 'function' &&
  ![...OF_POOLS, ...OF_TYPEORM].some((property) => property in (client as object))
