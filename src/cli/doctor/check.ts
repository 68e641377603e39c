// What the checks of `doctor` have in common.
import type { Database } from '../../database/database.ts'

/** The result of a check. Only a problem makes doctor fail; a warning does not. */
export interface Finding {
  readonly state: 'ok' | 'warning' | 'problem' | 'skipped'
  readonly found: string
  /** What the user should do. */
  readonly todo?: string
  /** What other checks must do without; default: `blocks` of the check. */
  readonly blocks?: readonly Need[]
}

/** What a check may need: a server that can be reached, a schema that may be read, a store that is migrated. */
export type Need = 'server' | 'schema' | 'store'

/** What doctor examines. */
export interface Target {
  readonly db: Database
  readonly listenUrl: string | undefined
  /** Longer transactions are reported. In ms. */
  readonly longMs: number
  /** The privileges that this role must have. */
  readonly may: readonly Right[]
}

export const RIGHTS = ['read', 'append', 'subscribe', 'manage', 'publish', 'migrate'] as const
export type Right = (typeof RIGHTS)[number]

/** One check. If it rejects, that is a problem. */
export interface Check {
  readonly name: string
  /** What it needs; if that is missing, the check is skipped. */
  readonly needs?: Need
  /** What other checks must do without if it finds a problem. */
  readonly blocks?: readonly Need[]
  run(target: Target): Promise<Finding | Finding[]>
}

export const ok = (found: string): Finding => ({ state: 'ok', found })
export const warning = (found: string, todo: string): Finding => ({ state: 'warning', found, todo })
export const problem = (found: string, todo: string): Finding => ({ state: 'problem', found, todo })

/** Formats a time: 90000 as 90 s. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1_000) return `${Math.round(ms)} ms`
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1]!
