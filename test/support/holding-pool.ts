import pg from 'pg'
import { databaseUrl } from './store.ts'
import { until } from './until.ts'

/** Queries, or answers, that are kept back. */
export interface Held {
  /** How many wait. */
  readonly count: number
  /** Waits until one is kept back. */
  some(): Promise<void>
  /** Releases them, and keeps back no others from now on. */
  release(): void
}

/** A pool to lend to a store: a query, or its answer, can be kept back, as a slow network does. */
export function holdingPool(config: pg.PoolConfig = {}): {
  pool: pg.Pool
  /** Keeps back queries (default: their answers) whose text contains `part` and whose values `isMeant` accepts. */
  hold(part: string, such?: (values: any[]) => boolean, what?: 'query' | 'answer'): Held
} {
  const gates = new Set<Gate>()
  const pool = new pg.Pool({ connectionString: databaseUrl(), ...config })
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: any[]) => any
    client.query = (async (...args: any[]) => {
      const text: string = typeof args[0] === 'string' ? args[0] : args[0].text
      const values = args[0].values ?? args[1] ?? []
      const gate = [...gates].find(({ part, such }) => text.includes(part) && such(values))
      if (gate?.what === 'query') await wait(gate)
      const answer = await query(...args)
      if (gate?.what === 'answer') await wait(gate)
      return answer
    }) as typeof client.query
  })
  const hold = (part: string, such: Gate['such'] = () => true, what: Gate['what'] = 'answer'): Held => {
    let open = () => {}
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    const gate: Gate = { part, such, what, opened, count: 0 }
    gates.add(gate)
    return {
      get count() {
        return gate.count
      },
      some: async () => void (await until(() => gate.count > 0, { what: `the ${what} of ${part}` })),
      release: () => {
        gates.delete(gate)
        open()
      },
    }
  }
  return { pool, hold }
}

interface Gate {
  readonly part: string
  readonly such: (values: any[]) => boolean
  readonly what: 'query' | 'answer'
  readonly opened: Promise<void>
  count: number
}

function wait(gate: Gate): Promise<void> {
  gate.count++
  return gate.opened
}
