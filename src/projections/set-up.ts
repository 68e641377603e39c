import type pg from 'pg'
import { readable } from '../core/describe.ts'
import { MeowError } from '../core/errors.ts'
import type { Queries } from '../database/database.ts'
import { isServerError, isServerFailure } from '../database/failures.ts'
import { lendClient } from '../database/lent-client.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import { statements } from '../database/statements.ts'
import type { Checked } from './definition.ts'
import { hashesOf, placesOf } from './definition.ts'
import {
  ProjectionNotFoundError,
  ProjectionRefusedError,
  ProjectionSetupError,
  projectionError,
} from './errors.ts'
import { unlessLocked } from './switch.ts'

/**
 * Creates the missing parts of a version, in one transaction: its schema with its tables, its subscription, and its row.
 * Processes that start at the same time wait for the first one, and then find the parts.
 */
export async function setUp(db: Queries, definition: Checked): Promise<void> {
  const { name, version, expose } = definition
  const { schema, subscription } = placesOf(db.settings.schema, definition)
  const hashes = hashesOf(definition)
  const compares = typeof definition.setup === 'string'
  let making = 0 // the generation
  await db.withClient(async (client) => {
    try {
      await client.query('begin isolation level read committed')
      const values = { name, version, schemaName: schema, expose, subscription, ...hashes, compares }
      const generations = await db.query(statements.registerProjection, values, client)
      for (const [generation, schema, subscription, isSetUp, setupHash] of generations) {
        making = Number(generation)
        if (setupHash !== hashes.setupHash)
          db.settings.logger.warn(
            { projection: name, version },
            'the function `setup` of a projection has another text than the one that made its tables: if it makes other tables, give the definition a new version number',
          )
        if (isSetUp !== 't') await make(db, definition, { schema, subscription }, client)
      }
      await client.query('commit')
    } catch (error) {
      await client.query('rollback').catch(() => db.discard(client))
      // A rebuild that can't be set up must not end the live version.
      const isRefused = error instanceof ProjectionSetupError || error instanceof ProjectionRefusedError
      if (!isRefused || making < 2) throw projectionError(name, error)
      db.settings.logger.error(
        { err: error, projection: name, version },
        'the rebuild of a projection is given up, because it could not be set up; the live tables stay as they are',
      )
      // Another process may be first. If the lock is not free in time, the caller finds the generation again.
      const drop = () => db.query(statements.dropProjection, { name, version, generation: making }, client)
      await unlessLocked(name, drop).catch((failure) => {
        if (!(failure instanceof ProjectionNotFoundError)) throw failure
      })
    }
  })
}

async function make(
  db: Queries,
  { name, version, setup, selection, partitions }: Checked,
  { schema, subscription }: { schema: string; subscription: string },
  client: pg.ClientBase,
): Promise<void> {
  const quoted = `"${schema.replaceAll('"', '""')}"`
  await client.query(`create schema ${quoted}`).catch((error) => {
    throw refusal(name, schema, error)
  })
  await db.query(statements.enterProjection, { schema }, client)
  try {
    const before = await transactionOf(client)
    await runSetup(setup, client)
    if ((await transactionOf(client)) !== before)
      throw new MeowError(
        'ERR_PROJECTION_SETUP',
        `it has ended its transaction: leave out begin, commit and rollback, and drop schema ${quoted}`,
      )
    const { rows } = await client.query(
      'select from pg_catalog.pg_class where relnamespace = $1::regnamespace',
      [quoted],
    )
    if (rows.length === 0)
      throw new MeowError(
        'ERR_PROJECTION_SETUP',
        `it has made no table in the schema of its version, ${quoted}: leave the schema out of the names of its tables`,
      )
  } catch (error) {
    // What a function throws may be anything, so ask the connection itself whether it is lost.
    const isAlive = await client.query('').then(() => true, isServerError)
    if (!isAlive || (isServerError(error) && isServerFailure(error))) throw error
    throw new ProjectionSetupError(name, version, readable(error))
  }
  const { categories, types, streamId, tags } = selection
  const selects = { categories: categories.length > 0 ? categories : null, types, streamId, tags }
  // The checkpoint of one that was left behind knows nothing of these tables, which are empty.
  const [leftover] = await db.query(statements.reached, { subscription, position: 0 }, client)
  if (leftover) {
    db.settings.logger.warn(
      { projection: name, subscription },
      'a subscription with the name that a version of a projection needs was left behind, and is replaced',
    )
    await db.query(statements.deleteSubscription, { name: subscription }, client)
  }
  await db.query(statements.subscribe, { name: subscription, ...selects, partitions, position: 0 }, client)
  await db.query(statements.projectionSetUp, { schema }, client)
}

async function runSetup(setup: Checked['setup'], client: pg.ClientBase): Promise<void> {
  if (typeof setup === 'string') return void (await client.query(setup))
  const lent = lendClient(client)
  try {
    await setup(lent.client)
  } finally {
    lent.revoke()
  }
}

async function transactionOf(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query('select pg_catalog.txid_current()::text as id')
  return rows[0].id
}

/** Why the schema of a version can't be made. */
function refusal(projection: string, schema: string, error: unknown): unknown {
  const { code, message } = error as { code?: string; message: string }
  if (code === SQLSTATE.schemaExists)
    return new ProjectionRefusedError(
      projection,
      `schema "${schema}" is there already, and this store knows nothing of it: drop it if it was left behind by a store that is gone`,
      error,
    )
  if (code === SQLSTATE.noRights)
    return new ProjectionRefusedError(
      projection,
      `the tables of a version stand in a schema of their own, and this role may not create one (${message}): grant create on the database to it`,
      error,
    )
  return error
}
