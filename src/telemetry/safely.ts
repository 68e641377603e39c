import type * as Api from '@opentelemetry/api'

/** Whatever goes wrong in telling of something must not become a failure of it. */
export function safely<T>({ diag }: Pick<typeof Api, 'diag'>, tell: () => T): T | undefined {
  try {
    return tell()
  } catch (error) {
    diag.error('meowmx: a span or a measure is lost', error)
    return
  }
}
