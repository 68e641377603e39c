/** What Prisma keeps of an error of the server. */
interface PrismaCause {
  readonly originalCode?: string
  readonly originalMessage?: string
  readonly severity?: string
}

/** How many errors may be around the server's. */
const MAX_DEPTH = 5

/**
 * The server's own error, with its SQLSTATE, in what a library has thrown around it; the library's error if there is none. The
 * store has to tell a missing transaction from a missing table.
 */
export function serverError(error: unknown): unknown {
  for (let one = error, depth = 0; typeof one === 'object' && one !== null && depth < MAX_DEPTH; depth++) {
    const { severity, code, meta, cause, driverError } = one as Record<string, any>
    const ofPrisma: PrismaCause | undefined = meta?.driverAdapterError?.cause
    if (ofPrisma?.originalCode) return fromPrisma(error, ofPrisma)
    if (severity !== undefined && typeof code === 'string' && driverError === undefined) return one
    one = driverError ?? cause
  }
  return error
}

/** Prisma drops the severity of errors that it knows. */
const fromPrisma = (
  error: unknown,
  { originalCode, originalMessage, severity, ...more }: PrismaCause,
): Error =>
  Object.assign(new Error(originalMessage, { cause: error }), {
    ...more,
    code: originalCode,
    severity: severity ?? 'ERROR',
  })
