import type { Database } from '../../database/database.ts'

/** What a check has found; a warning does not make doctor fail. */
export interface Finding {
  readonly state: 'ok' | 'warning' | 'problem' | 'skipped'
  readonly found: string
  /** What to do. */
  readonly todo?: string
  /** What is missing for other checks; default: what the check says. */
  readonly blocks?: readonly Need[]
}

/** A server that can be reached; a schema that may be read; a store that is migrated. */
export type Need = 'server' | 'schema' | 'store'

export interface Patient {
  readonly db: Database
  readonly listenUrl: string | undefined
  /** How long a transaction may stay open. */
  readonly longMs: number
  /** What this role is to be able to do. */
  readonly may: readonly Right[]
}

export const RIGHTS = ['read', 'append', 'subscribe', 'manage', 'conduct', 'migrate'] as const
export type Right = (typeof RIGHTS)[number]

/** One thing that is looked at; what it rejects with is a problem. */
export interface Check {
  readonly name: string
  /** Without this it is not asked. */
  readonly needs?: Need
  /** What is missing where it finds a problem. */
  readonly blocks?: readonly Need[]
  look(patient: Patient): Promise<Finding | Finding[]>
}

export const ok = (found: string): Finding => ({ state: 'ok', found })
export const warning = (found: string, todo: string): Finding => ({ state: 'warning', found, todo })
export const problem = (found: string, todo: string): Finding => ({ state: 'problem', found, todo })

/** 90000 as 90 s. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1_000) return `${Math.round(ms)} ms`
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1]!
