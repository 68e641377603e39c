/** Whether an import failed because the package is not installed. Node and bundlers report this in different ways. */
export function isMissing(error: unknown): boolean {
  return /^(ERR_)?MODULE_NOT_FOUND$/.test(String((error as { code?: unknown } | undefined)?.code))
}
