import { z } from 'zod'
import { hasTag } from './kinds.ts'
import { MAX_INT } from './numbers.ts'
import type { SqlClient } from './sql-client.ts'
import { isSqlClient } from './sql-client.ts'

/** A time in milliseconds. */
export const ms = (least: number) => z.number().int().min(least).max(MAX_INT)
/** Non-empty text that PostgreSQL can store. */
export const textSchema = z
  .string()
  .min(1)
  .refine((s) => !s.includes('\u0000') && s.isWellFormed(), 'must not contain \\u0000 or a lone surrogate')
export const methodSchema = z.custom<(...args: any[]) => any>(
  (f) => typeof f === 'function',
  'must be a function',
)

/** A category, stream id or type: non-empty, at most 255 characters. */
export const nameSchema = textSchema.refine(
  (s) => s.length <= 255 || [...s].length <= 255,
  'must be at most 255 characters long',
)
export const versionSchema = z.number().int().min(0).max(MAX_INT)
export const positionSchema = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
export const clientSchema = z.custom<SqlClient>(
  isSqlClient,
  'must be a client with an open transaction: one of pg, or what fromDrizzle, fromKysely, fromKnex, fromPrisma, fromTypeOrm or fromPostgresJs of meowmx/adapters returns',
)
export const signalSchema = z.custom<AbortSignal>((s) => hasTag(s, 'AbortSignal'), 'must be an AbortSignal')
