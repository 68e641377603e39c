/** Whether an import failed because the package is not installed; Node and what bundlers make of `import()` say it differently. */
export function isMissing(error: unknown): boolean {
  return /^(ERR_)?MODULE_NOT_FOUND$/.test(String((error as { code?: unknown } | undefined)?.code))
}
