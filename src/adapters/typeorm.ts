import type { SqlClient } from '../core/sql-client.ts'
import { adapt } from './adapt.ts'

/** The parts of TypeORM's entity manager that are used. */
export interface TypeOrmManager {
  readonly queryRunner?: TypeOrmQueryRunner | undefined
}

interface TypeOrmQueryRunner {
  readonly isTransactionActive: boolean
  query(text: string, values: any[], isStructured: true): PromiseLike<{ records: any }>
}

/**
 * The client of a TypeORM transaction on PostgreSQL.
 *
 * @throws ValidationError if it is not the manager that `dataSource.transaction` hands to its callback, or that of a query runner
 *   with an open transaction
 * @example
 * await dataSource.transaction(async (manager) => {
 *   await manager.insert(Order, { id: '42' })
 *   await meow.append({ category: 'order', streamId: '42' }, event, { client: fromTypeOrm(manager) })
 * })
 */
export function fromTypeOrm(manager: TypeOrmManager): SqlClient {
  return adapt(manager, {
    what: 'the manager that dataSource.transaction() of TypeORM hands to its callback',
    isOne: ({ queryRunner }) => queryRunner?.isTransactionActive === true,
    query: async (manager, text, values) => (await manager.queryRunner!.query(text, values, true)).records,
  })
}
