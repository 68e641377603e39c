import type { Command } from 'commander'
import type { Run } from './context.ts'
import { about } from './talk.ts'

// `delete` is a word of the language.
export function deleteSubscription(program: Command, run: Run): void {
  program
    .command('delete')
    .description('delete a subscription, its checkpoints and its parked events; executors that run end')
    .argument('<subscription>')
    .option('--force', 'even while somebody works on it, or where it has parked events')
    .action(
      run(async (context, name: string, { force }: { force?: true }) => {
        const meow = await context.open()
        const [known] = force ? [] : await meow.subscriptions({ names: [name] })
        const owner = known?.partitions.find(({ owner }) => owner !== null)?.owner
        if (owner) throw new Error(`"${name}" is at work (${owner}): stop it first, or give --force`)
        if (known && known.parked > 0)
          throw new Error(
            `"${name}" has ${about(known.parked, known.parkedIsEstimate)} parked events, which are forgotten with it: give --force`,
          )
        await meow.deleteSubscription(name)
        await context.out.say({ name }, `"${name}" is deleted`)
      }),
    )
}
