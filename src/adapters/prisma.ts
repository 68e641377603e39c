import type { SqlClient } from '../core/sql-client.ts'
import { adapt } from './adapt.ts'

/** The parts of a Prisma transaction that are used. */
export interface PrismaTransaction {
  $queryRawUnsafe(query: string, ...values: any[]): PromiseLike<unknown>
}

/**
 * The client of an interactive transaction of Prisma on PostgreSQL.
 *
 * @throws ValidationError if it is not what `prisma.$transaction` hands to its callback
 * @example
 * await prisma.$transaction(async (tx) => {
 *   await tx.order.create({ data: { id: '42' } })
 *   await meow.append({ category: 'order', streamId: '42' }, event, { client: fromPrisma(tx) })
 * })
 */
export function fromPrisma(tx: PrismaTransaction): SqlClient {
  return adapt(tx, {
    what: 'what prisma.$transaction() hands to its callback',
    // Only the client outside of transactions can disconnect.
    isOne: (tx) => typeof tx.$queryRawUnsafe === 'function' && !('$disconnect' in tx && tx.$disconnect),
    query: (tx, text, values) => tx.$queryRawUnsafe(text, ...values),
  })
}
