import type { AppendResult, VersionConflictError } from '../../../src/index.ts'
import type { Attempt } from '../../faults/writers.ts'
import { Writers } from '../../faults/writers.ts'
import type { Random } from '../../support/random.ts'
import type { Playing, Stage } from '../child.ts'
import type { Log } from '../facts.ts'

const MB = 1_000_000
/** The number of attempts of this process so far, and how often the role has started: numbers must not repeat. */
let [count, plays] = [0, 0]

/**
 * Appends in every way there is. Told `burst n` it writes n events at once; told `big n` its next n events have some MB; told
 * `rest` it pauses until `work`.
 */
export function play({ options, meow, dice, log, say }: Stage): Playing {
  let big = 0
  const bytes = (own: Random) => {
    if (big <= 0) return own.chance(0.1) ? own.int(100, 10_000) : 0
    big--
    return own.int(1 * MB, 3 * MB)
  }
  const writers = new Writers({
    meow,
    url: options.url,
    schema: options.schema,
    categories: options.categories,
    seed: dice.int(0, 2 ** 32 - 1),
    queryTimeoutMs: options.connectOptions.queryTimeoutMs!,
    pauseMs: options.pauseMs as [number, number],
    bytes,
    begin: recorder(log),
  })
  writers.start()
  const bursts: Promise<void>[] = []
  return {
    tell: (command, value) => {
      if (command === 'burst') bursts.push(writers.backlog(Number(value)))
      if (command === 'big') big += Number(value)
      if (command === 'rest') writers.rest()
      if (command === 'work') writers.work()
    },
    stop: async () => {
      await Promise.all([writers.stop(), ...bursts])
      say('stopped')
    },
  }
}

/** Logs each attempt before it is made, and the answer. */
function recorder(log: Log) {
  const before = plays++ * 1e9
  return (what: string, ids: readonly string[], transaction?: number): Attempt => {
    const n = ++count
    let outcome: Attempt['outcome'] = 'open'
    log({
      kind: 'try',
      n,
      what,
      ids,
      ...(transaction === undefined ? {} : { transaction: before + transaction }),
    })
    return {
      what,
      ids,
      get outcome() {
        return outcome
      },
      set outcome(told) {
        outcome = told
        if (told !== 'open') log({ kind: 'told', n, outcome: told })
      },
      set answer(results: readonly AppendResult[]) {
        const events = results.flatMap((result) => result.events)
        const told = events.map(({ id, version, position }) => [id, version, position] as const)
        log({ kind: 'answer', n, deduplicated: results.every((result) => result.deduplicated), events: told })
      },
      set conflict({ stream, expected, actual }: VersionConflictError) {
        log({ kind: 'conflict', n, stream: `${stream.category}/${stream.streamId}`, expected, actual })
      },
    }
  }
}
