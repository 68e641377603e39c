import type { Logger } from '../../src/index.ts'

export interface Line {
  readonly level: string
  readonly text: string
  /** The code of the error, if there is one. */
  readonly code: unknown
}

/** A logger, and what it has logged at the levels info, warn and error. */
export function keepLog(): { logged: Line[]; logger: Logger } {
  const logged: Line[] = []
  const log = (level: string) => (fields: unknown, text?: string) => {
    const { err } = fields as { err?: { code?: unknown } }
    logged.push({ level, text: text ?? String(fields), code: err?.code })
  }
  return { logged, logger: { debug: () => {}, info: log('info'), warn: log('warn'), error: log('error') } }
}
