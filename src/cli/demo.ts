// The command `demo`.
import { randomInt } from 'node:crypto'
import type { Command } from 'commander'
import { now, sleep, wall } from '../core/clock.ts'
import { MAX_INT } from '../core/numbers.ts'
import { integer } from './arguments.ts'
import type { Context, Run } from './context.ts'
import { streamName } from './events.ts'
import { counted } from './stderr.ts'

const CATEGORY = 'demo-account'
const NAMES = ['ann', 'bob', 'cleo', 'dan', 'eve']

export function demo(program: Command, run: Run): void {
  program
    .command('demo')
    .description(
      'transfer money between accounts, let a worker sum up the balances, and show how fast each event arrives',
    )
    .option('--count <n>', 'number of transfers', integer(1), 20)
    .option('--every-ms <ms>', 'pause between two transfers', integer(0, MAX_INT), 150)
    .addHelpText(
      'after',
      `
It needs no server:  meowmx demo --embedded
It writes to category ${CATEGORY} and uses subscription ${CATEGORY}, which starts at the first event of this run.`,
    )
    .action(run((context, options: { count: number; everyMs: number }) => play(context, options)))
}

async function play(context: Context, options: { count: number; everyMs: number }): Promise<void> {
  const { out, stderr, signal } = context
  if (context.options.embedded === undefined && !out.json)
    stderr.note('the demo writes to the store that you named; use --embedded for a throw-away one')
  const meow = await context.open({ listen: true })
  const run = wall().toString(36)
  const account = (name: string) => ({ category: CATEGORY, streamId: `${name}-${run}` })
  const sent = new Map<string, number>()
  const latencies: number[] = []
  const balances = new Map<string, number>()
  let moved = 0
  const worker = meow.subscription(CATEGORY, { category: CATEGORY, from: 'end' }).process(async (event) => {
    const ms = now() - (sent.get(event.id) ?? Number.NaN)
    if (Number.isNaN(ms)) return // an event of an earlier run
    latencies.push(ms)
    balances.set(event.streamId, (balances.get(event.streamId) ?? 0) + event.data.amount)
    moved++
    const sum = balances.get(event.streamId)
    await out.say(
      { ...event, pushedMs: Math.round(ms * 10) / 10 },
      `${ms.toFixed(1).padStart(6)} ms  ${event.type.padEnd(9)} ${String(event.data.amount).padStart(4)}  ${streamName(event)} now has ${sum}`,
    )
  })
  await worker.ready
  const { uuidv7 } = await import('../append/uuid.ts')
  const moving = (type: string, amount: number) => {
    const id = uuidv7()
    sent.set(id, now())
    return { id, type, data: { amount } }
  }
  let position = 0
  for (let n = 0; n < options.count && !signal.aborted; n++) {
    const [from, to] = [
      NAMES[n % NAMES.length]!,
      NAMES[(n + 1 + randomInt(NAMES.length - 1)) % NAMES.length]!,
    ]
    const amount = randomInt(1, 100)
    const results = await meow.appendAll([
      { stream: account(from), events: moving('Withdrawn', -amount) },
      { stream: account(to), events: moving('Deposited', amount) },
    ])
    position = results.at(-1)!.position
    await sleep(options.everyMs, signal).catch(() => {})
  }
  if (!signal.aborted) await meow.waitFor(CATEGORY, position, { timeoutMs: 30_000 })
  await worker.stop()
  await summarize(
    context,
    latencies,
    moved,
    [...balances.values()].reduce((sum, one) => sum + one, 0),
  )
}

async function summarize(
  { out }: Context,
  latencies: readonly number[],
  events: number,
  sum: number,
): Promise<void> {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (share: number) => Number((sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1))
  const [medianMs, p99Ms] = [at(0.5), at(0.99)]
  await out.say(
    { events, sum, medianMs, p99Ms },
    `${counted(events, 'event')}: from append() to the worker it took ${medianMs} ms in the median, and at most ${p99Ms} ms for 99% of them; the sum of all balances is ${sum}`,
  )
}
