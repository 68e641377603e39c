import fc from 'fast-check'
import type { Row } from '../../src/database/bounded-rows.ts'
import type { Database } from '../../src/database/database.ts'
import type { Listener } from '../../src/notify/listener.ts'
import type { NextDue, TimerRunner, TimerSource } from '../../src/timers/runner.ts'
import { Broken } from './checks.ts'
import { SimulatedDatabase } from './database.ts'
import type { Task } from './machine.ts'
import { Machine } from './machine.ts'
import { Timers } from './timers.ts'

/** The class under test: that of src/, or of a copy with a planted defect. */
export interface RingingEngine {
  TimerRunner: typeof TimerRunner
}

/** For mutants of what is SQL in reality. */
export interface RingingFlaws {
  /** A claim locks nothing. */
  unlocked?: boolean
  /** A claim takes what is due soon. */
  early?: boolean
  /** A claim deletes, whatever becomes of its transaction. */
  forgetful?: boolean
  /** The state is written before the transaction, the effects in it. */
  stateFirst?: boolean
  /** The effects are written before the transaction, the state in it. */
  effectsFirst?: boolean
}

interface Setup {
  readonly machines: number
  readonly faults: number
}

/** A timer of an instance: what it fires changes the state, and has one effect. */
interface Instance {
  readonly due: number
  waits: boolean
  state: number
  effects: number
  firedAt: number
}

const CHANNEL = '#timers'
const POLL_MS = 1_000
/** An hour: who waits for it asks nothing. */
const FAR_MS = 3_600_000
/** Of a timer after all has healed: a pause after a failed query may be as long. */
const HEALED_MS = 60_000
/** Of a timer while nothing is wrong: the jitter, and the tasks in between take no time. */
const PROMPT_MS = 10

/** Timers in the simulated database, each statement at one moment. A transaction holds its locks until it ends. */
class TimerDatabase extends SimulatedDatabase {
  readonly instances = new Map<number, Instance>()
  /** What each open transaction has claimed. */
  readonly claims = new Map<object, readonly number[]>()
  asked = 0
  readonly #time: () => number
  readonly #flaws: RingingFlaws

  constructor(time: () => number, flaws: RingingFlaws) {
    const off = () => {}
    const on = { committed: off, notify: off, checkpoint: off, granted: off, refused: off, parked: off }
    super(1, time, on)
    this.#time = time
    this.#flaws = flaws
  }

  override other(name: string, { transaction }: { transaction: object }): Row[] {
    if (name === 'timer_channel') return [[CHANNEL]]
    if (name === 'next_due') return this.#next()
    if (name === 'claim_due') return this.#claim(transaction)
    if (name === 'fire_due') return this.#commit(transaction)
    return super.other(name, {})
  }

  #waiting(): [number, Instance][] {
    return [...this.instances].filter(([, one]) => one.waits).sort(([, a], [, b]) => a.due - b.due)
  }

  #next(): Row[] {
    this.asked++
    const [first] = this.#waiting()
    if (!first) return []
    const [, { due }] = first
    return [[String(Math.ceil(due - this.#time())), String(Math.floor(due))]]
  }

  #claim(transaction: object): Row[] {
    const locked = new Set(this.#flaws.unlocked ? [] : [...this.claims.values()].flat())
    const until = this.#time() + (this.#flaws.early ? 100 : 0)
    const mine = this.#waiting().filter(([key, { due }]) => due <= until && !locked.has(key))
    const keys = mine.slice(0, 2).map(([key]) => key)
    this.claims.set(transaction, keys)
    for (const one of this.#of(keys)) {
      if (this.#flaws.forgetful) one.waits = false
      if (this.#flaws.stateFirst) one.state++
      if (this.#flaws.effectsFirst) one.effects++
    }
    return keys.map((key) => [String(key)])
  }

  #commit(transaction: object): Row[] {
    const keys = this.claims.get(transaction)
    if (!keys) throw Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })
    this.claims.delete(transaction)
    for (const one of this.#of(keys)) {
      one.waits = false
      if (!this.#flaws.stateFirst) one.state++
      if (!this.#flaws.effectsFirst) one.effects++
      one.firedAt = this.#time()
    }
    return []
  }

  #of(keys: readonly number[]): Instance[] {
    return keys.map((key) => this.instances.get(key)!)
  }
}

interface Process {
  readonly machine: Machine
  readonly runner: TimerRunner
  readonly hears: Set<(payload: string | null) => void>
  readonly listener: { listening: boolean }
  readonly transactions: Set<object>
  release(): void
  ending: boolean
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * One run: processes that fire timers, over a simulated network, clock and database. Each timer comes once, none early, its state and
 * its effects together; while nothing is wrong it comes at once; and nobody asks as long as the next one is far.
 */
export async function simulateRinging(
  { TimerRunner }: RingingEngine,
  setup: Setup,
  choices: readonly number[],
  flaws: RingingFlaws = {},
): Promise<{ fired: number; trace: string[] }> {
  const timers = new Timers()
  const tasks: Task[] = []
  const processes: Process[] = []
  const trace: string[] = []
  const say = (what: string) => trace.push(what)
  const database = new TimerDatabase(() => timers.now, flaws)
  let [names, faults, keys] = [0, 0, 0]

  const alive = () => processes.filter(({ machine, ending }) => !machine.dead && !ending)
  const post = (process: Process, what: string, happen: () => void) =>
    tasks.push({ machine: process.machine, what, happen })
  const start = () => {
    const world = { database, timers, tasks, random: () => 0.5 }
    const machine = new Machine(`m${names++}`, world, { pollIntervalMs: POLL_MS, listen: false, skew: 0 })
    const { queries } = machine
    const hears: Process['hears'] = new Set()
    const transactions = new Set<object>()
    const listener = {
      listening: true,
      on(_: string, hear: (payload: string | null) => void) {
        // As a listen connection does: what was missed before LISTEN is made up for.
        post(process, 'LISTEN', () => {
          hears.add(hear)
          hear(null)
        })
        return () => hears.delete(hear)
      },
    }
    const ask = (name: string, values: object, client?: any) =>
      queries.query({ name } as never, values as never, client) as unknown as Promise<string[][]>
    const source: TimerSource = {
      name: 'timers',
      isOfStore: true,
      next: async (): Promise<NextDue | undefined> => {
        const [row] = await ask('next_due', {})
        return row && { inMs: Number(row[0]), at: Number(row[1]) }
      },
      fire: () =>
        queries.withClient(async (client) => {
          const transaction = {}
          transactions.add(transaction)
          try {
            const claimed = await ask('claim_due', { transaction }, client)
            await ask('fire_due', { transaction }, client)
            return claimed.length
          } catch (error) {
            lost.add(transaction) // the server will notice
            throw error
          }
        }),
    }
    const runner = new TimerRunner(queries as unknown as Database, listener as unknown as Listener)
    const process: Process = {
      machine,
      runner,
      hears,
      listener,
      transactions,
      release: () => {},
      ending: false,
    }
    processes.push(process)
    runner.add(source)
    process.release = runner.hold()
  }
  const lost = new Set<object>()
  /** The server finds connections broken, and rolls back. */
  const rollBack = () => {
    for (const { machine, transactions } of processes)
      for (const one of transactions) if (machine.dead || lost.has(one)) database.claims.delete(one)
  }
  for (let i = 0; i < setup.machines; i++) start()

  const schedule = (inMs: number) => {
    const due = timers.now + inMs
    say(`schedule ${keys}, due at ${due}`)
    database.instances.set(keys++, { due, waits: true, state: 0, effects: 0, firedAt: 0 })
    for (const process of processes) {
      if (process.machine.dead || !process.listener.listening) continue
      const payload = String(Math.floor(due))
      post(process, `hear ${payload}`, () => {
        if (process.listener.listening) for (const hear of process.hears) hear(payload)
      })
    }
  }
  const check = () => {
    for (const [key, { due, waits, state, effects, firedAt }] of database.instances) {
      if (state !== effects)
        throw new Broken(`I9: timer ${key} has changed the state ${state} times, with ${effects} effects`)
      if (state > 1) throw new Broken(`I9: timer ${key} was fired ${state} times`)
      if (state === 1 && firedAt < due) throw new Broken(`I9: timer ${key} was fired early`)
      if (!waits && state === 0 && [...database.claims.values()].every((claimed) => !claimed.includes(key)))
        throw new Broken(`I9: timer ${key} is lost`)
    }
  }

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
    if (passed) say(`time is ${timers.now}`)
    return passed
  }
  const closing = new Set<Process>()
  const close = (process: Process) => {
    process.ending = true
    closing.add(process)
    process.release()
    process.runner.close(new AbortController().signal).then(() => closing.delete(process))
  }
  const hearAgain = (process: Process) => {
    process.listener.listening = true
    post(process, 'listens again', () => {
      for (const hear of process.hears) hear(null)
    })
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
        process.machine.frozen = !process.machine.frozen
        say(`${process.machine.name} is ${process.machine.frozen ? 'FROZEN' : 'thawed'}`)
        break
      case 4:
        say(`${process.machine.name} is ${process.listener.listening ? 'DEAF' : 'not deaf any more'}`)
        if (process.listener.listening) process.listener.listening = false
        else hearAgain(process)
        break
      case 5:
        if (process.machine.frozen) return false
        say(`CLOSE ${process.machine.name}`)
        close(process)
        start()
        break
      case 6:
        rollBack()
        return true
      default: {
        // The worst moment: what it has claimed stays locked until the server notices.
        const victim =
          alive().find(({ transactions }) => [...transactions].some((one) => database.claims.has(one))) ??
          process
        say(`KILL ${victim.machine.name}`)
        victim.machine.kill()
        start()
      }
    }
    faults++
    return true
  }
  /** Tasks first: they take no time. */
  const until = async (done: () => boolean, withinMs: number, failure: () => string) => {
    const deadline = timers.now + withinMs
    for (let steps = 0; ; steps++) {
      await settled()
      check()
      if (done()) return
      if (timers.now > deadline || steps > 20_000) throw new Broken(failure())
      happen(0) || pass()
    }
  }
  const waiting = () => [...database.instances].filter(([, { state }]) => state === 0)

  try {
    for (const choice of choices) {
      const kind = choice & 15
      const n = choice >> 4
      if (kind >= 14) fault(n)
      else if (kind >= 11 && keys < 20) schedule([0, 3, 40, 500, 5_000][n % 5]!)
      else if (kind >= 9) pass()
      else happen(kind < 4 ? 0 : n) || pass()
      await settled()
      check()
    }
    say('healed')
    for (const process of alive()) {
      process.machine.frozen = false
      if (!process.listener.listening) hearAgain(process)
    }
    for (const process of processes) process.machine.frozen = false
    rollBack()
    await until(
      () => {
        rollBack()
        return waiting().length === 0
      },
      HEALED_MS,
      () => `I9: lost, or not fired: ${JSON.stringify(waiting())}`,
    )
    // All is well, and only an hour ahead something is due: nobody asks. What is due earlier then comes at once.
    schedule(FAR_MS)
    const calm = async (ms: number) => {
      for (const end = timers.now + ms; timers.now < end && (happen(0) || pass()); ) await settled()
    }
    await calm(5_000) // pauses end, and questions that were under way
    const { asked } = database
    await calm(65_000)
    if (database.asked > asked)
      throw new Broken(`I9: ${database.asked - asked} questions while nothing is due`)
    for (const inMs of [700, 30, 0]) {
      schedule(inMs)
      const { due } = database.instances.get(keys - 1)!
      const rest = () => waiting().some(([, one]) => one.due <= due)
      await until(
        () => !rest(),
        inMs + PROMPT_MS,
        () => `I9: late: ${JSON.stringify(waiting())}`,
      )
    }
    // The next one is scheduled, and heard of, between a question and its answer.
    const happenOnly = async (isMeant: (task: Task) => boolean) => {
      for (let task = enabled().find(isMeant); task; task = enabled().find(isMeant)) {
        take(task)
        say(task.what)
        task.happen(0)
        await settled()
      }
    }
    schedule(700)
    await happenOnly(({ what }) => what !== 'answer to next_due')
    schedule(30)
    await happenOnly(({ what }) => what.startsWith('hear'))
    const { due } = database.instances.get(keys - 1)!
    await until(
      () => !waiting().some(([, one]) => one.due <= due),
      30 + PROMPT_MS,
      () => 'I9: late, and forgotten',
    )
    // Who has claimed it dies, and the server notices late: the others find it locked meanwhile.
    schedule(50)
    const claimed = () => alive().find(({ transactions }) => [...transactions].some(has))
    const has = (one: object) => (database.claims.get(one)?.length ?? 0) > 0
    await until(
      () => claimed() !== undefined,
      1_000,
      () => 'I9: nobody claims what is due',
    )
    const victim = claimed()!
    say(`KILL ${victim.machine.name}`)
    victim.machine.kill()
    if (alive().length === 0) start()
    await calm(2_000)
    rollBack()
    await until(
      () => waiting().every(([, one]) => one.due > timers.now),
      1_000,
      () => 'I9: what was locked is forgotten',
    )
    for (const process of alive()) close(process)
    await until(
      () => [...closing].every(({ machine }) => machine.dead),
      1_000,
      () => 'I8: a close() does not end',
    )
    for (const { machine } of processes)
      if (!machine.dead && timers.of(machine) > 0) throw new Broken('I8: a closed process has timers')
    return { fired: database.instances.size - 1, trace }
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
    }),
    choices: fc.array(fc.nat({ max: 0xffff }), { maxLength: 150, size: 'max' }),
  }),
)

/** Runs this many schedules of a seed. Throws the shortest schedule that breaks a rule, and how to run it again. */
export async function exploreRinging(
  engine: RingingEngine,
  runs: number,
  {
    flaws = {},
    seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31)),
    shrink = true,
  }: { flaws?: RingingFlaws; seed?: number; shrink?: boolean } = {},
): Promise<{ fired: number }> {
  const total = { fired: 0 }
  const property = fc.asyncProperty(schedules, async ({ setup, choices }) => {
    total.fired += (await simulateRinging(engine, setup, choices, flaws)).fired
  })
  const details = await fc.check(property, { numRuns: runs, seed, endOnFailure: !shrink })
  if (!details.failed) return total
  const [schedule] = details.counterexample ?? []
  throw new Error(
    `after ${details.numRuns} schedules, SEED=${details.seed}:\n${details.errorInstance}\n${JSON.stringify(schedule)}`,
  )
}
