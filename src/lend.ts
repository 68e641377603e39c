import type pg from 'pg'

/** The client for as long as a handler runs: one that goes on afterwards must not write into another's transaction. */
export function lend(client: pg.ClientBase): { client: pg.ClientBase; takeBack(): void } {
  let ended = false
  const query = (...args: unknown[]) => {
    if (ended) throw new Error('the handler has ended, and its transaction with it')
    return (client.query as (...args: unknown[]) => unknown).apply(client, args)
  }
  return {
    client: Object.assign(Object.create(client), { query, release: undefined }),
    takeBack: () => {
      ended = true
    },
  }
}
