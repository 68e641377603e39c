// The command `delete`.
import type { Command } from 'commander'
import type { Run } from './context.ts'
import { counted } from './stderr.ts'

// The function is not called `delete`, because that is a keyword.
export function deleteSubscription(program: Command, run: Run): void {
  program
    .command('delete')
    .description(
      'delete a subscription, its checkpoints and its parked events; running executors end with an error',
    )
    .argument('<subscription>')
    .option('--force', 'delete it even if an executor runs or events are parked')
    .action(
      run(async (context, name: string, { force }: { force?: true }) => {
        const meow = await context.open()
        const [known] = force ? [] : await meow.subscriptions({ names: [name] })
        const owner = known?.partitions.find(({ owner }) => owner !== null)?.owner
        if (owner) throw new Error(`"${name}" is running (${owner}): stop it first, or give --force`)
        if (known && known.parked > 0)
          throw new Error(
            `"${name}" has ${counted(known.parked, 'parked event', known.parkedIsEstimate)}, which would be lost: replay first (meowmx replay ${name}), or give --force`,
          )
        await meow.deleteSubscription(name)
        await context.out.say({ name }, `"${name}" is deleted`)
      }),
    )
}
