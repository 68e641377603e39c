// Creates the links to shared libraries that an npm package cannot contain.
import { readFile, symlink } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'

/**
 * Creates the symbolic links between a platform package's libraries. The package does this itself in an install script, but
 * pnpm 10, npm 12 and `--ignore-scripts` do not run such scripts.
 */
export async function linkLibraries(packageRoot: string): Promise<void> {
  const list = await readFile(join(packageRoot, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const folder = dirname(target)
    const link = join(packageRoot, folder, basename(target))
    // This fails if the links exist, or the package is read-only. If they are needed and missing, the programs do not start.
    await symlink(relative(folder, source), link).catch(() => {})
  }
}
