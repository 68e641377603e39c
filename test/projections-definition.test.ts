// @direct
// A definition of a projection is checked as a whole before anything happens: one error, with the path and the value.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ProjectionDefinition } from '../src/index.ts'
import {
  defineProjection,
  ProjectionRefusedError,
  ProjectionSetupError,
  ValidationError,
} from '../src/index.ts'
import { dropSchemas } from './support/projections.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const meow = await openStore({ pollIntervalMs: 100, logger: false })
test.after(async () => {
  const schema = storeSchema
  await meow.close()
  await dropSchemas(schema)
  await closeAll()
})

const good: ProjectionDefinition = {
  name: 'orders',
  version: 1,
  category: 'order',
  setup: 'create table orders (id text)',
  handle: () => {},
}

test('each part is checked', () => {
  assert.equal(defineProjection(good), good)
  const wrong: [part: object, message: string][] = [
    [{ name: '' }, 'definition.name must not be empty, got ""'],
    [
      { name: 'x'.repeat(60) },
      'definition.name must be so short that `<store>_<name>_v<version>` has at most 58 bytes',
    ],
    [{ version: 0 }, 'definition.version must be at least 1, got 0'],
    [{ version: 1.5 }, 'definition.version must be an integer, got 1.5'],
    [{ version: '2' }, 'definition.version must be a number, got "2"'],
    [{ setup: 7 }, 'definition.setup must be SQL, or a function that runs it, got 7'],
    [{ handle: undefined }, 'definition.handle must be a function, got undefined'],
    [{ expose: 'pg_catalog' }, 'definition.expose must not start with pg_'],
    [{ expose: 'x'.repeat(64) }, 'definition.expose must be at most 63 bytes long'],
    [{ batchSize: 0 }, 'definition.batchSize must be at least 1, got 0'],
    [{ batchSize: 100_001 }, 'definition.batchSize must be at most 100000'],
    [{ partitions: 0 }, 'definition.partitions must be at least 1, got 0'],
    [{ partitions: 1_025 }, 'definition.partitions must be at most 1024'],
    [{ activate: 'later' }, 'definition.activate must be one of "auto", "manual", got "later"'],
    [{ leaseMs: 1 }, 'definition.leaseMs must be at least 100, got 1'],
    [{ category: undefined }, 'definition.category must have a value or be left out'],
    [{ streamId: '1', category: ['a', 'b'] }, 'definition.streamId needs exactly one category'],
    [{ concurrency: 2 }, 'definition.concurrency is not an option, got 2'],
  ]
  for (const [part, message] of wrong) {
    const define = () => defineProjection({ ...good, ...part } as ProjectionDefinition)
    try {
      define()
      assert.unreachable(message)
    } catch (error) {
      assert.instance(error, ValidationError, message)
      assert.ok((error as Error).message.startsWith(message), `${(error as Error).message}\n${message}`)
    }
  }
  assert.throws(
    () => meow.projection({ ...good, name: 'x'.repeat(40) }),
    /the schema "test_\w+" of this version would have 6\d bytes/,
  )
})

test('a setup that fails leaves nothing, and the error says why', async () => {
  const sql = await pgClient()
  const taken = `${storeSchema}_taken_v1`
  await sql.query(`create schema ${taken}`)
  const wrong: [setup: ProjectionDefinition['setup'], message: string][] = [
    ['create tabel x ()', 'failed: syntax error'],
    ['create table public.orders_of_nobody (id text)', 'it has made no table in the schema of its version'],
    [() => Promise.reject(new Error('no time')), 'failed: no time'],
    ['create table t (id text); commit', 'it has ended its transaction'],
  ]
  for (const [setup, message] of wrong) {
    const name = uniqueName('p').slice(0, 10)
    const error = await rejects(meow.projection({ ...good, name, setup }).start().ready, ProjectionSetupError)
    assert.ok(error.message.includes(message), error.message)
    assert.not(
      (await meow.projections()).some(
        (one) => one.name === name && message !== 'it has ended its transaction',
      ),
    )
  }
  const error = await rejects(
    meow.projection({ ...good, name: 'taken' }).start().ready,
    ProjectionRefusedError,
  )
  assert.ok(error.message.includes(`schema "${taken}" is there already`), error.message)
  const nowhere = meow.projection({ ...good, name: 'nowhere', expose: 'nowhere', activate: 'manual' }).start()
  await nowhere.ready
  await nowhere.stop()
  await sql.query('drop table if exists public.orders_of_nobody')
  await sql.end()
})

test.run()
