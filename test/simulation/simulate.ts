import { TimeLimit } from '../../src/core/stop-options.ts'
import type { RecordedEvent } from '../../src/events/event.ts'
import type { Live } from '../../src/live/live.ts'
import type { ListenConnection } from '../../src/notify/listen-connection.ts'
import type { Reader } from '../../src/read/reader.ts'
import type { BatchHandler, Handler } from '../../src/subscriptions/invoke.ts'
import type { Subscriptions } from '../../src/subscriptions/subscriptions.ts'
import type { Worker } from '../../src/subscriptions/worker.ts'
import type { Counts } from './checks.ts'
import { Broken, Checks, OUTAGE_STREAMS } from './checks.ts'
import type { Flaws, Transaction } from './database.ts'
import { SimulatedDatabase } from './database.ts'
import type { Task } from './machine.ts'
import { Machine } from './machine.ts'
import { Timers } from './timers.ts'

/** How long a listener waits for an answer. */
const ANSWER_MS = 4_000

/** The classes under test: those of src/, or of a copy with a planted defect. */
export interface Engine {
  ListenConnection: typeof ListenConnection
  Live: typeof Live
  Reader: typeof Reader
  Subscriptions: typeof Subscriptions
}

export interface Setup {
  partitions: number
  machines: number
  /** Of handlers of one event each. */
  concurrency: number
  /** Handlers get batches of at most this many events; null: single events. */
  batchSize: number | null
  /** How long a batch waits to be filled. */
  maxWaitMs: number
  maxInFlight: number
  /** Few, so that one or two deliveries fill them, or many. */
  maxBufferedBytes: number
  /** Handlers that take time. */
  slowHandlers: boolean
  /** This many of four handlers that take time fail. */
  failures: number
  /** Handlers need a service, which may be down: then all handlers that take time fail. */
  service: boolean
  /** The events of one stream always fail, in handlers that take time. */
  poison: boolean
  /** Every category, or one of the two. */
  everything: boolean
  /**
   * reliable: a notification is lost only if a connection breaks, and there is practically no poll. lossy: any may be
   * lost without a sign. none: nobody listens.
   */
  push: 'reliable' | 'lossy' | 'none'
  /** At most this many events: after the last one, no later event wakes a reader. */
  events: number
  /** The maximum number of faults: with many of them, little else happens. */
  faults: number
  /** What has to wait until nothing else is pending, mostly: a kind of task. */
  late: (typeof LATE)[number]
  /** An event is committed right before each such task, and at no other time; null: at any time. */
  ambush: (typeof AMBUSHES)[number] | null
  /** What has happened before the first choice: nothing; all processes listen; or all work, with events to handle. */
  begin: 'cold' | 'listening' | 'working'
}

export const LATE = [
  'nothing',
  'listen',
  'hear',
  'answer',
  'handled',
  'page',
  'horizons',
  'claim',
  'advance',
] as const

export const AMBUSHES = ['listen a', 'connect again'] as const

const LEASE_MS = 1_000
/** The time limit from the last fault until everything is handled, in simulated time: pauses, a lease, a poll, retries. */
export const HEALED_MS = 20_000
const POISON = 'a2'
const STREAMS = [
  ['a', 'a0'],
  ['a', 'a1'],
  ['a', 'a2'],
  ['b', 'b0'],
] as const

interface Process {
  readonly machine: Machine
  readonly worker: Worker
  /** Ends it, and waits for handlers for this many ms, or without a limit. */
  stop(limitMs?: number): Promise<void>
  /** The state that its subscription tells. */
  state(): string
  /** It was told to stop, and has not ended yet. */
  ending: boolean
}

/** All pending tasks have run. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * One run: executors of one subscription over a simulated network, clock and database. `choices` say what happens next, one
 * number a step, as long as they last; then all faults end, and everything has to be handled in time. The same choices give
 * the same run. 0 always is the most ordinary step, so that fewer and smaller numbers are simpler runs.
 *
 * @returns how long it took after healing until all was handled, in simulated ms, and all that happened
 * @throws Broken, with what happened
 */
export async function simulate(
  engine: Engine,
  setup: Setup,
  choices: readonly number[],
  flaws: Flaws = {},
): Promise<{ healedMs: number; counts: Counts; trace: string[] }> {
  const run = new Simulation(engine, setup, flaws)
  try {
    await run.warmUp()
    for (const choice of choices) await run.step(choice)
    const healedMs = await run.heal()
    await run.close()
    return { healedMs, counts: run.counts, trace: run.trace }
  } catch (error) {
    if (error instanceof Broken) error.message += `\n  ${run.trace.slice(-60).join('\n  ')}`
    throw error
  }
}

class Simulation {
  readonly trace: string[] = []
  readonly #engine: Engine
  readonly #setup: Setup
  readonly #checks: Checks
  readonly #database: SimulatedDatabase
  readonly #timers = new Timers()
  readonly #tasks: Task[] = []
  readonly #processes: Process[] = []
  #names = 0
  #faults = 0
  #away = false
  #state: 'beginning' | 'running' | 'healing' = 'beginning'

  constructor(engine: Engine, setup: Setup, flaws: Flaws) {
    this.#engine = engine
    this.#setup = setup
    const checks = new Checks(({ category }) => setup.everything || category === 'a', setup.maxInFlight + 1)
    this.#checks = checks
    this.#database = new SimulatedDatabase(
      setup.partitions,
      () => this.#timers.now,
      {
        notify: (channel, payload) => {
          for (const { machine } of this.#processes) machine.notify(channel, payload)
        },
        committed: (rows) => checks.committed(rows),
        checkpoint: (partition, epoch, before) => checks.checkpoint(partition, epoch, before),
        granted: (partition, epoch) => checks.granted(partition, epoch),
        refused: () => checks.refused(),
        parked: (streamId, position, replaying) =>
          checks.parked(streamId, position, replaying, setup.service),
      },
      flaws,
    )
    checks.watch(this.#database)
    for (let i = 0; i < setup.machines; i++) this.#start()
  }

  get counts(): Counts {
    return this.#checks.counts
  }

  async warmUp(): Promise<void> {
    const { begin } = this.#setup
    const registering = ({ what }: Task) => begin === 'listening' && what.includes('subscribe')
    while (begin !== 'cold') {
      await settled()
      const task = this.#enabled().find((task) => !registering(task))
      if (!task) break
      this.#do(task)
    }
    if (begin === 'working') for (let i = 0; i < 2 * STREAMS.length; i++) this.#write((i << 3) | 1)
    this.#state = 'running'
  }

  /**
   * Each kind of step has its range of numbers; an impossible step is replaced by an ordinary one. Mostly the oldest task
   * happens next, so that no task is delayed until everything else has ended.
   */
  async step(choice: number): Promise<void> {
    const kind = choice & 15
    const n = choice >> 4
    if (kind >= 14 ? !this.#fault(n) : kind >= 11 ? !this.#write(n) : kind >= 9 ? !this.#pass() : true)
      this.#happen(kind < 5 ? 0 : n, n) || this.#pass()
    await settled()
    this.#checks.throwIfBroken()
  }

  /** No more faults: how long until all is handled? */
  async heal(): Promise<number> {
    this.#state = 'healing'
    this.#say('healed')
    this.#away = false
    this.#database.pause(false)
    for (const { machine } of this.#processes) machine.frozen = false
    for (const transaction of [...this.#database.open]) this.#database.end(transaction, 'commit')
    const { now } = this.#timers
    let replayAt = now
    await this.#until(
      () => {
        if (this.#checks.left.length === 0) return true
        if (this.#setup.poison && this.#checks.left.every((event) => event.startsWith(`${POISON}.`)))
          return this.#database.parked.get(POISON)?.replaying === false
        if (
          this.#timers.now >= replayAt &&
          [...this.#database.parked.values()].some((one) => !one.replaying)
        ) {
          this.#database.replayParked()
          replayAt = this.#timers.now + 1_000
        }
        return false
      },
      () => `I7: left: ${this.#checks.left.join(', ')}`,
    )
    const healedMs = this.#timers.now - now
    // An executor without a connection learns only now that another one has its partitions. One that was told to stop says
    // nothing more.
    const failing = () =>
      this.#processes.find(({ machine, ending, state }) => !machine.dead && !ending && state() === 'failing')
    await this.#until(
      () => !failing(),
      () => `I16: ${failing()?.machine.name} is still failing`,
    )
    return healedMs
  }

  /** All processes stop cleanly, and nothing is left. */
  async close(): Promise<void> {
    let open = 0
    for (const process of this.#processes) {
      if (process.machine.dead) continue
      open++
      process.stop().then(
        () => open--,
        (error) => this.#checks.broken(`I10: ${error}`),
      )
    }
    await this.#until(
      () => open === 0,
      () => 'I8: a close() does not end',
    )
    for (const { machine } of this.#processes)
      if (this.#timers.of(machine) > 0) this.#checks.broken('I8: a closed process has timers')
    this.#checks.throwIfBroken()
  }

  async #until(done: () => boolean, failure: () => string): Promise<void> {
    const deadline = this.#timers.now + HEALED_MS
    for (let steps = 0; ; steps++) {
      await settled()
      this.#checks.throwIfBroken()
      const busy = this.#enabled().length > 0
      if (!busy && done()) return
      if (this.#timers.now > deadline || steps > 20_000) throw new Broken(failure())
      this.#happen(0) || this.#pass()
    }
  }

  // ----------------------------------------------------------------------------------------- what may happen next

  #enabled(): Task[] {
    const enabled = this.#tasks.filter(({ machine }) => !machine?.frozen && !machine?.dead)
    const late = enabled.filter(({ what }) => what.includes(this.#setup.late))
    return late.length > 0 ? [...enabled.filter((task) => !late.includes(task)), ...late] : enabled
  }

  #happen(n: number, luck = 0): boolean {
    const tasks = this.#enabled()
    const task = tasks[n % tasks.length]
    if (task) this.#do(task, luck >> 4)
    return task !== undefined
  }

  #do(task: Task, luck = 0): void {
    const { ambush } = this.#setup
    if (ambush && task.what.endsWith(ambush) && this.#state === 'running') this.#commit('a', 'a0', 1)
    this.#take(task)
    this.#say(task.machine ? `${task.machine.name}: ${task.what}` : task.what)
    task.happen(luck)
  }

  #pass(): boolean {
    const passed = this.#timers.next()
    if (passed) this.#say(`a timer, at ${this.#timers.now}`)
    return passed
  }

  #write(n: number): boolean {
    const { open } = this.#database
    const [category, streamId] = STREAMS[(n >> 3) % STREAMS.length]!
    const any = open[(n >> 3) % open.length]
    if (this.#setup.ambush) return false
    switch (n & 7) {
      case 0:
      case 1:
      case 2:
        return this.#commit(category, streamId, 1 + ((n & 7) % 2))
      case 3:
      case 4:
        if (!this.#begin(category, streamId)) return false
        this.#say(`begin and announce: ${streamId}`)
        return true
      case 5:
      case 6:
        if (!any) return false
        if (any.rows.length > 0) this.#end(any, 'commit')
        else {
          this.#database.append(any)
          this.#say(`append ${any.streamId}: ${any.rows.at(-1)!.position}`)
        }
        return true
      default:
        if (any) this.#end(any, 'rollback')
        return any !== undefined
    }
  }

  #commit(category: string, streamId: string, events: number): boolean {
    const transaction = this.#begin(category, streamId)
    if (!transaction) return false
    for (let i = 0; i < events; i++) this.#database.append(transaction)
    this.#end(transaction, 'commit')
    return true
  }

  #begin(category: string, streamId: string): Transaction | undefined {
    const { open, head } = this.#database
    return open.length < 3 && head < this.#setup.events ? this.#database.begin(category, streamId) : undefined
  }

  #end(transaction: Transaction, how: 'commit' | 'rollback'): void {
    this.#say(`${how} ${transaction.streamId}: ${transaction.rows.map(({ position }) => position)}`)
    this.#database.end(transaction, how)
  }

  #fault(n: number): boolean {
    if (this.#setup.service && n % 2 === 0) {
      this.#away = !this.#away
      this.#say(this.#away ? 'SERVICE away' : 'service back')
      return true
    }
    // Rarely and briefly, because little happens while everything is paused. Not with a service, because an executor that takes
    // over does not know of the outage.
    if (!this.#setup.service && (n % 64 === 9 || (this.#database.paused && n % 4 === 1))) {
      this.#say(this.#database.paused ? 'RESUME' : 'PAUSE')
      this.#database.pause(!this.#database.paused)
      return true
    }
    if (this.#faults >= this.#setup.faults) return false
    const done = this.#breakSomething(n)
    if (done) this.#faults++
    return done
  }

  #breakSomething(n: number): boolean {
    const processes = this.#processes.filter(({ machine, ending }) => !machine.dead && !ending)
    const process = processes[(n >> 3) % processes.length]
    switch (n & 7) {
      case 0:
      case 1: {
        const breakable = this.#enabled().filter(({ fail }) => fail)
        const task = breakable[(n >> 3) % breakable.length]
        if (task) this.#take(task)
        if (task) this.#say(`BREAKS: ${task.what}`)
        task?.fail?.((n & 7) === 1)
        return task !== undefined
      }
      case 2: {
        if (this.#setup.push !== 'lossy') return this.#breakSomething(n + 1)
        const heard = this.#tasks.filter(({ what }) => what.startsWith('hear'))
        const task = heard[(n >> 3) % heard.length]
        if (task) this.#take(task)
        if (task) this.#say(`LOST: ${task.what}`)
        return task !== undefined
      }
      case 3:
        if (!process) return false
        this.#say(`LISTENER of ${process.machine.name} breaks`)
        process.machine.loseNotifications()
        return true
      case 4:
        if (!process) return false
        process.machine.frozen = !process.machine.frozen
        this.#say(`${process.machine.name} is ${process.machine.frozen ? 'FROZEN' : 'thawed'}`)
        return true
      case 5:
        if (!process || this.#names > 6) return false
        this.#say(`KILL ${process.machine.name}`)
        process.machine.kill()
        this.#start()
        return true
      case 6: {
        if (!process || process.machine.frozen || this.#names > 6) return false
        const limitMs = n & 64 ? (n & 128 ? 0 : 20) : undefined
        this.#say(`STOP ${process.machine.name}${limitMs === undefined ? '' : ` within ${limitMs} ms`}`)
        process.ending = true
        process.stop(limitMs).catch((error) => this.#checks.broken(`I10: ${error}`))
        this.#start()
        return true
      }
      default:
        if (this.#database.parked.size === 0) return this.#breakSomething(n - 1)
        if ((n & 24) === 24) {
          const parked = [...this.#database.parked.values()].find(({ replaying }) => !replaying)
          if (!parked) return false
          this.#say(`DISCARD ${parked.streamId} at ${parked.position}`)
          this.#checks.discarded(this.#database.discard(parked.streamId))
          return true
        }
        this.#say('replay')
        this.#database.replayParked()
        return true
    }
  }

  #take(task: Task): void {
    this.#tasks.splice(this.#tasks.indexOf(task), 1)
  }

  #say(what: string): void {
    this.trace.push(what)
  }

  // --------------------------------------------------------------------------------------------------- a process

  #start(): void {
    const { partitions, concurrency, batchSize, maxWaitMs, maxInFlight } = this.#setup
    const { maxBufferedBytes, everything, push } = this.#setup
    const { ListenConnection, Live, Reader, Subscriptions } = this.#engine
    const machine = new Machine(
      `m${this.#names++}`,
      { database: this.#database, timers: this.#timers, tasks: this.#tasks, random: () => 0.5 },
      {
        pollIntervalMs: push === 'reliable' ? 3_600_000 : 100,
        listen: push !== 'none',
        skew: (this.#names % 3) * 1_800_000,
        maxBufferedBytes,
      },
    )
    const connection =
      push === 'none' ? undefined : new ListenConnection(machine.clock, ANSWER_MS, machine.connect)
    const live = new Live(machine.queries, connection)
    const subscriptions = new Subscriptions(machine.queries, live, new Reader(machine.queries))
    const subscription = subscriptions.get('s', {
      ...(everything ? {} : { category: 'a' }),
      partitions,
      maxInFlight,
      leaseMs: LEASE_MS,
    })
    const options = {
      retry: { maxAttempts: 2, minDelayMs: 10, maxDelayMs: this.#setup.service ? 1_000 : 10 },
      outage: { streams: OUTAGE_STREAMS },
    }
    const handler: Handler = (event, { attempt }) => this.#handle(machine, [event], attempt)
    const batchHandler: BatchHandler = (events, { attempt }) => this.#handle(machine, events, attempt)
    const worker =
      batchSize === null
        ? subscription.process(handler, { ...options, concurrency })
        : subscription.processBatches(batchHandler, { ...options, batchSize, maxWaitMs })
    let state = ''
    const watching = subscription.status$.subscribe((status) => {
      state = status.state
    })
    const limit = new TimeLimit(machine.clock)
    const process: Process = {
      machine,
      worker,
      ending: false,
      state: () => state,
      stop: async (limitMs) => {
        watching.unsubscribe()
        if (limitMs !== undefined) limit.set(limitMs)
        await subscriptions.close(limit)
        limit.clear()
        await live.close()
      },
    }
    worker.done.catch((error) => this.#checks.broken(`I7: a worker ended: ${error}`))
    this.#processes.push(process)
  }

  #handle(machine: Machine, events: readonly RecordedEvent[], attempt: number): undefined | Promise<void> {
    const [first] = events as [RecordedEvent]
    for (const [i, event] of events.entries()) {
      const before = events.slice(0, i).findLast(({ streamId }) => streamId === event.streamId)
      this.#checks.begins(machine.name, event, attempt, before)
    }
    if (this.#database.paused && machine.saysPaused)
      this.#checks.broken(`I17: ${machine.name} begins ${first.streamId}.${first.version} while paused`)
    const end = (handled: boolean) => {
      for (const event of events) this.#checks.ends(machine.name, event, handled, events.length === 1)
    }
    if (!this.#setup.slowHandlers) return void end(true)
    return new Promise<void>((resolve, reject) => {
      const names = events.map(({ streamId, version }) => `${streamId}.${version}`)
      this.#tasks.push({
        machine,
        what: `handled ${names.join(', ')} at ${events.map(({ position }) => position).join(', ')}`,
        happen: (luck) => {
          const fails =
            this.#away || events.some(({ streamId }, i) => this.#fails(streamId, luck >> (2 * (i % 4))))
          end(!fails)
          if (fails) reject(new Error('bad luck'))
          else resolve()
        },
      })
    })
  }

  #fails(streamId: string, luck: number): boolean {
    const unlucky = this.#state !== 'healing' && luck % 4 < this.#setup.failures
    return unlucky || (this.#setup.poison && streamId === POISON)
  }
}
