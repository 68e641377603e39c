import { readFile, symlink } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'

/**
 * Makes the symbolic links between a platform package's libraries, which an npm archive can't hold. The package does so
 * itself in an install script, but pnpm 10, npm 12 and `--ignore-scripts` do not run those.
 */
export async function linkLibraries(packageRoot: string): Promise<void> {
  const list = await readFile(join(packageRoot, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const folder = dirname(target)
    const link = join(packageRoot, folder, basename(target))
    // They exist already, or the package is read-only: starting the programs tells whether they were needed.
    await symlink(relative(folder, source), link).catch(() => {})
  }
}
