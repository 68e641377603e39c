// What the tests of inline projections share: a table of notes, and a projection that writes the data of each event to it.
import type pg from 'pg'
import type { ConnectOptions, Meow, NewEvent, RecordedEvent, StreamRef } from '../../src/index.ts'
import { openStore, pgClient, storeSchema, uniqueName } from './store.ts'

export const event = (data: unknown = {}, more: Partial<NewEvent> = {}) => ({ type: 'T', data, ...more })
export const of = (category: string, streamId = 'a'): StreamRef => ({ category, streamId })

/** Opens a store and a connection, and creates the table of notes. */
export async function projecting() {
  const meow = await openStore({ listen: false })
  const sql = await pgClient()
  const notes = `${storeSchema}.notes`
  await sql.query(`create table ${notes} (category text, note text)`)

  const write = (client: pg.ClientBase, category: string, note: unknown) =>
    client.query(`insert into ${notes} values ($1, $2)`, [category, String(note)])

  /** The committed notes of a category, sorted. */
  const written = async (category: string): Promise<string[]> => {
    const { rows } = await sql.query(`select note from ${notes} where category = $1 order by note`, [
      category,
    ])
    return rows.map(({ note }) => note)
  }

  /**
   * Registers a projection of a category that writes the data of each event to the notes, and throws if it is `poison`; with
   * `options`, in a store of its own. `seen`: what each call of the projection got.
   */
  const noting = async (options?: ConnectOptions, name = uniqueName('noted')) => {
    const store: Meow = options ? await openStore({ listen: false, ...options }) : meow
    const seen: RecordedEvent[][] = []
    store.project(name, async (events, client) => {
      seen.push(events)
      for (const { data } of events) {
        await write(client, name, data)
        if (data === 'poison') throw new Error('poison')
      }
    })
    return { name, store, seen }
  }

  /** The data of all events of a category. */
  const data = async (category: string) => (await meow.read({ category })).events.map((one) => one.data)

  return { meow, sql, notes, write, written, noting, data }
}
