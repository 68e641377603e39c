import { DataSource, EntitySchema } from 'typeorm'
import { fromTypeOrm } from '../../src/adapters/index.ts'
import type { Library, Place } from './library.ts'
import { CONNECTIONS } from './library.ts'

export async function typeOrm({ url, schema }: Place): Promise<Library> {
  const Note = new EntitySchema<{ name: string }>({
    name: 'Note',
    tableName: 'notes',
    schema,
    columns: { name: { type: 'text', primary: true } },
  })
  const dataSource = new DataSource({ type: 'postgres', url, poolSize: CONNECTIONS, entities: [Note] })
  await dataSource.initialize()
  return {
    name: 'TypeORM',
    transaction: (body) =>
      dataSource.transaction((manager) =>
        body({
          own: manager,
          client: fromTypeOrm(manager),
          again: () => fromTypeOrm(manager),
          note: (name) => manager.insert(Note, { name }),
        }),
      ),
    refuse: () => fromTypeOrm(dataSource.manager),
    close: () => dataSource.destroy(),
  }
}
