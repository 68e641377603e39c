import { explain, MeowError } from '../core/errors.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import { ProjectionRefusedError } from '../subscriptions/errors.ts'

export { ProjectionRefusedError }

/** There is no such projection, or no such version of it. */
export class ProjectionNotFoundError extends MeowError {
  declare readonly projection: string

  constructor(projection: string, message: string, cause?: unknown) {
    super('ERR_PROJECTION_NOT_FOUND', message, cause, { projection })
  }
}

/** A version of a projection exists with a different definition, or it was dropped after it had been live. */
export class ProjectionMismatchError extends MeowError {
  declare readonly projection: string

  constructor(projection: string, message: string, cause?: unknown) {
    super('ERR_PROJECTION_MISMATCH', message, cause, { projection })
  }
}

/** The `setup` of a projection failed; `cause` is its error. Nothing was made. */
export class ProjectionSetupError extends MeowError {
  declare readonly projection: string

  constructor(projection: string, version: number, cause: unknown) {
    super(
      'ERR_PROJECTION_SETUP',
      `the setup of version ${version} of projection "${projection}" failed: ${explain(cause)}`,
      cause,
      { projection },
    )
  }
}

/** Converts errors of the store's functions to errors of the library; other errors are returned unchanged. */
export function projectionError(projection: string, error: unknown): unknown {
  const { code, message, hint } = error as { code?: string; message: string; hint?: string }
  const text = hint
    ? `${message}: ${hint.charAt(0).toLowerCase()}${hint.slice(1).replace(/\.$/, '')}`
    : message
  switch (code) {
    case SQLSTATE.noProjection:
      return new ProjectionNotFoundError(projection, text, error)
    case SQLSTATE.projectionRefused:
      return new ProjectionRefusedError(projection, text, error)
    case SQLSTATE.projectionMismatch:
      return new ProjectionMismatchError(projection, text, error)
    case SQLSTATE.dependentObjects:
      return new ProjectionRefusedError(
        projection,
        `${message}: ${(error as { detail?: string }).detail ?? 'other objects depend on it'}; drop these first`,
        error,
      )
  }
  return error
}
