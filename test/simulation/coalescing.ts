import fc from 'fast-check'
import type { Coalescer } from '../../src/notify/coalescing/coalescer.ts'
import { Broken } from './checks.ts'
import type { Flaws, Transaction } from './database.ts'
import { SimulatedDatabase } from './database.ts'
import type { Task } from './machine.ts'
import { Machine } from './machine.ts'
import { Timers } from './timers.ts'

/** The class under test: that of src/, or of a copy with a planted defect. */
export interface CoalescingEngine {
  Coalescer: typeof Coalescer
}

interface Setup {
  readonly machines: number
  readonly faults: number
  /** Whether there is a publisher before the first choice. */
  readonly isPublishing: boolean
}

interface Process {
  readonly machine: Machine
  readonly coalescer: Coalescer
  ending: boolean
}

/** The simulated database says how many appends wait; one check is enough. */
const RULES = { speed: 0, waiting: 1, checks: 1, leaveMs: 1_000 }
const HEALED_MS = 20_000
const CATEGORIES = ['a', 'b'] as const

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * One run: processes that may become the publisher, over a simulated network, clock and database, and a LISTEN client that never
 * polls. Whatever is committed has to be notified after its commit, on its category's channel and on the store's: at once, or, if
 * there is a publisher, when nothing can appear below it any more.
 */
export async function simulateCoalescing(
  { Coalescer }: CoalescingEngine,
  setup: Setup,
  choices: readonly number[],
  flaws: Flaws = {},
): Promise<{ notified: number; published: number; trace: string[] }> {
  const timers = new Timers()
  const tasks: Task[] = []
  const processes: Process[] = []
  const trace: string[] = []
  const say = (what: string) => trace.push(what)
  const missing = new Set<string>() // '<channel> <position>'
  let [notified, published, names, faults, streams] = [0, 0, 0, 0, 0]
  let committing = false
  const database = new SimulatedDatabase(
    1,
    () => timers.now,
    {
      committed: (rows) => {
        for (const { position, category } of rows)
          for (const channel of [category, '*']) missing.add(`${channel} ${position}`)
      },
      notify: (channel, payload) => {
        for (const one of [...missing]) {
          const [where, position] = one.split(' ')
          if (where !== channel || Number(position) > Number(payload)) continue
          missing.delete(one)
          notified++
          if (!committing) published++
        }
      },
      checkpoint() {},
      granted() {},
      refused() {},
      parked() {},
    },
    flaws,
  )
  database.waiting = 1

  const alive = () => processes.filter(({ machine, ending }) => !machine.dead && !ending)
  const start = () => {
    const world = { database, timers, tasks, random: () => 0.5 }
    const machine = new Machine(`m${names++}`, world, { pollIntervalMs: 1_000, listen: false, skew: 0 })
    processes.push({ machine, coalescer: new Coalescer(machine.queries, RULES), ending: false })
  }
  for (let i = 0; i < setup.machines; i++) start()

  const enabled = () => tasks.filter(({ machine }) => !machine?.frozen && !machine?.dead)
  const take = (task: Task) => tasks.splice(tasks.indexOf(task), 1)
  const happen = (n: number): boolean => {
    const able = enabled()
    const task = able[n % able.length]
    if (!task) return false
    take(task)
    say(task.machine ? `${task.machine.name}: ${task.what}` : task.what)
    task.happen(0)
    return true
  }
  const pass = (): boolean => {
    const passed = timers.next()
    if (passed) say(`a timer, at ${timers.now}`)
    return passed
  }

  const begin = (n: number): Transaction | undefined => {
    if (database.open.length >= 3 || database.head >= 30) return undefined
    const category = CATEGORIES[n % 2]!
    say(`begin and announce: ${category}`)
    return database.begin(category, `${category}${streams++}`)
  }
  const append = (transaction: Transaction, n: number) => {
    database.append(transaction)
    const { position } = transaction.rows.at(-1)!
    const { machine, coalescer } = alive()[n % alive().length]!
    say(`append ${transaction.streamId}: ${position}, seen by ${machine.name}`)
    if (!machine.frozen) coalescer.saw(position)
  }
  const end = (transaction: Transaction, how: 'commit' | 'rollback') => {
    say(`${how} ${transaction.streamId}: ${transaction.rows.map(({ position }) => position)}`)
    committing = true
    database.end(transaction, how)
    committing = false
  }
  const write = (n: number): boolean => {
    const any = database.open[(n >> 3) % database.open.length]
    switch (n & 7) {
      case 0:
      case 1: {
        const transaction = begin(n >> 3)
        if (!transaction) return false
        append(transaction, n >> 4)
        end(transaction, 'commit')
        return true
      }
      case 2:
      case 3:
        return begin(n >> 3) !== undefined
      case 7:
        if (any) end(any, 'rollback')
        return any !== undefined
      default:
        if (!any) return false
        if (any.rows.length === 0 || (n & 7) === 6) append(any, n >> 4)
        else if (any.decided < any.rows.length) {
          say(`the statement of ${any.streamId} ends`)
          database.decide(any)
        } else end(any, 'commit')
        return true
    }
  }
  const closing = new Set<Process>()
  const close = (process: Process) => {
    process.ending = true
    closing.add(process)
    process.coalescer.close().then(() => closing.delete(process))
  }
  const fault = (n: number): boolean => {
    if (faults >= setup.faults) return false
    const process = alive()[(n >> 3) % alive().length]!
    const breakable = enabled().filter(({ fail }) => fail)
    const task = breakable[(n >> 3) % breakable.length]
    switch (n & 7) {
      case 0:
      case 1:
        if (!task) return false
        take(task)
        say(`BREAKS: ${task.what}`)
        task.fail!()
        break
      case 2:
      case 3:
      case 4:
        process.machine.frozen = !process.machine.frozen
        say(`${process.machine.name} is ${process.machine.frozen ? 'FROZEN' : 'thawed'}`)
        break
      case 5:
        if (process.machine.frozen) return false
        say(`CLOSE ${process.machine.name}`)
        close(process)
        start()
        break
      default:
        say(`KILL ${process.machine.name}`)
        process.machine.kill()
        start()
    }
    faults++
    return true
  }

  const until = async (done: () => boolean, failure: () => string) => {
    const deadline = timers.now + HEALED_MS
    for (let steps = 0; ; steps++) {
      await settled()
      if (done()) return
      if (timers.now > deadline || steps > 50_000) throw new Broken(failure())
      happen(0) || pass()
    }
  }
  /** Events that no open append holds back and that were not notified. */
  const late = () => {
    const horizons = database.horizons(null) as unknown as [string | null, string][]
    const of = (channel: string) => {
      const key = channel === '*' ? '100' : channel === 'a' ? '1' : '2'
      return Math.min(...horizons.filter(([k]) => k === null || k === key).map(([, at]) => Number(at)))
    }
    return [...missing].filter((one) => Number(one.split(' ')[1]) <= of(one.split(' ')[0]!))
  }
  /** Processes with a tail poll. */
  const poll = () => {
    for (const { coalescer } of alive()) coalescer.saw(database.head)
  }

  try {
    if (setup.isPublishing) {
      alive()[0]!.coalescer.saw(1)
      await until(
        () =>
          database.lease.published === 0 &&
          !database.lease.closed &&
          enabled().some(({ what }) => what.endsWith('publish')),
        () => 'no process becomes the publisher',
      )
    }
    for (const choice of choices) {
      const kind = choice & 15
      const n = choice >> 4
      if (kind >= 14 ? !fault(n) : kind >= 10 ? !write(n) : kind >= 8 ? !pass() : true)
        happen(kind < 4 ? 0 : n) || pass()
      await settled()
    }
    say('healed')
    for (const { machine } of processes) machine.frozen = false
    poll()
    await until(
      () => late().length === 0,
      () => `I7: what is settled was not notified: ${late()}`,
    )
    database.waiting = 0
    for (const transaction of [...database.open]) end(transaction, 'commit')
    poll()
    await until(
      () => missing.size === 0 && (database.lease.closed || database.head === 0),
      () => `I7: not notified: ${[...missing]}; the lease is ${JSON.stringify(database.lease)}`,
    )
    for (const process of alive()) close(process)
    await until(
      () => [...closing].every(({ machine }) => machine.dead),
      () => 'I8: a close() does not end',
    )
    for (const { machine } of processes)
      if (!machine.dead && timers.of(machine) > 0) throw new Broken('I8: a closed process has timers')
    return { notified, published, trace }
  } catch (error) {
    if (error instanceof Broken) error.message += `\n  ${trace.slice(-80).join('\n  ')}`
    throw error
  }
}

const schedules = fc.noBias(
  fc.record({
    setup: fc.record({
      machines: fc.integer({ min: 1, max: 3 }),
      faults: fc.constantFrom(0, 1, 2, 4),
      isPublishing: fc.boolean(),
    }),
    choices: fc.array(fc.nat({ max: 0xffff }), { maxLength: 200, size: 'max' }),
  }),
)

/** Runs this many schedules of a seed. Throws the shortest schedule that breaks a rule, and how to run it again. */
export async function exploreCoalescing(
  engine: CoalescingEngine,
  runs: number,
  {
    flaws = {},
    seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31)),
    shrink = true,
  }: { flaws?: Flaws; seed?: number; shrink?: boolean } = {},
): Promise<{ notified: number; published: number }> {
  const total = { notified: 0, published: 0 }
  const property = fc.asyncProperty(schedules, async ({ setup, choices }) => {
    const { notified, published } = await simulateCoalescing(engine, setup, choices, flaws)
    total.notified += notified
    total.published += published
  })
  const details = await fc.check(property, { numRuns: runs, seed, endOnFailure: !shrink })
  if (!details.failed) return total
  const [schedule] = details.counterexample ?? []
  throw new Error(
    `after ${details.numRuns} schedules, SEED=${details.seed}:\n${details.errorInstance}\n${JSON.stringify(schedule)}`,
  )
}
