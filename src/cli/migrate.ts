// The command `migrate`.
import type { Command } from 'commander'
import type { Run } from './context.ts'

export function migrate(program: Command, run: Run): void {
  program
    .command('migrate')
    .description('create the store, or update it to this version; does nothing if it is up to date')
    .action(
      run(async (context) => {
        const db = await context.database()
        const { checkHealth } = await import('../database/health.ts')
        const { migrate } = await import('../database/migrate.ts')
        const result = await migrate(db)
        await checkHealth(db)
        if (context.out.json) return context.out.line(JSON.stringify(result))
        for (const file of result.applied) await context.out.line(`applied ${file}`)
        if (result.applied.length === 0) context.stderr.note(`schema "${db.schema}" is up to date`)
      }),
    )
}
