// The command `migrate`.
import type { Command } from 'commander'
import type { Run } from './context.ts'

export function migrate(program: Command, run: Run): void {
  program
    .command('migrate')
    .description('create the store, or update it to this version; does nothing if it is up to date')
    .option('--print', 'print the SQL that it would run, for psql, and change nothing')
    .action(
      run(async (context, { print }: { print?: true }) => {
        const db = await context.database()
        if (print) {
          const { migrationPlan } = await import('../database/migration-plan.ts')
          const plan = await migrationPlan(db)
          if (plan.pending.length === 0) context.stderr.note(`schema "${db.schema}" is up to date`)
          else context.stderr.note(`pending: ${plan.pending.join(', ')}`)
          if (context.out.json) await context.out.line(JSON.stringify(plan))
          else if (plan.sql !== '') await context.out.line(plan.sql.trimEnd())
          return
        }
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
