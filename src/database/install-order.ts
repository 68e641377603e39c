/** A file of sql/functions, by the name of what it makes. */
interface Made {
  readonly name: string
  readonly text: string
}

/**
 * Sorts functions and triggers so that each can be made. PostgreSQL looks up what the body of an SQL function calls, and what
 * a trigger executes, when it makes them: that must be there before. The body of a plpgsql function is looked up when it runs.
 */
export function inInstallOrder<T extends Made>(all: readonly T[]): T[] {
  const sorted = new Set<T>()
  const visited = new Set<T>()
  const add = (one: T): void => {
    if (visited.has(one)) return
    visited.add(one)
    for (const other of all) if (needs(one, other)) add(other)
    sorted.add(one)
  }
  for (const one of all) add(one)
  return [...sorted]
}

function needs(one: Made, { name }: Made): boolean {
  const code = one.text.replaceAll(/--.*$/gm, '')
  if (/^language plpgsql\b/m.test(code)) return false
  return new RegExp(`\\b${name.replace('.', '\\.')}\\(`).test(code)
}
