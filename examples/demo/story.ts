import type { ChildProcess } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { Meow } from 'meowmx'
import { until } from '../../test/support/until.ts'
import type { Children } from './children.ts'
import type { Report } from './executor.ts'
import { countDirectly, differences, type Flight } from './flights.ts'
import { Latencies } from './meter.ts'
import type { Figures, Reader } from './read-model.ts'
import { departures, VERSIONS } from './read-model.ts'
import type { View } from './view.ts'
import type { Written } from './writer.ts'

/** The version of each process: an old release, and two processes of a new one. */
const RELEASES = [1, 2, 2]
const CAUGHT_UP = 100 // events of lag
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
const number = (value: number) => value.toLocaleString('en-US')

interface Executor {
  child: ChildProcess
  pid: number
  version: number
  role: string
  owner: boolean
  handled: number
  report: Report | undefined
}

/** What happens in the demo, from the first process to the comparison. */
export class Story {
  readonly #flights: readonly Flight[]
  readonly #meow: Meow
  readonly #children: Children
  readonly #reader: Reader
  readonly #view: View
  readonly #signal: AbortSignal
  readonly #states = new Map<number, string>()
  readonly #pushed = new Latencies() // without those who waited for an owner
  #outage = false
  #figures: Figures = { appended: 0, handled: 0 }
  #problem: unknown

  constructor(
    flights: readonly Flight[],
    meow: Meow,
    children: Children,
    reader: Reader,
    view: View,
    signal: AbortSignal,
  ) {
    this.#flights = flights
    this.#meow = meow
    this.#children = children
    this.#reader = reader
    this.#view = view
    this.#signal = signal
  }

  /** @returns whether the read model came out right */
  async tell(): Promise<boolean> {
    const ended = new AbortController()
    const projections = VERSIONS.map((version) =>
      this.#meow.projection(departures(this.#reader.schema, version)),
    )
    const watching = projections.map(({ status$ }) =>
      status$.subscribe(({ version, state }) => this.#states.set(version, state)),
    )
    const executors = RELEASES.map((version) => this.#startExecutor(version))
    let drawing: Promise<void> | undefined
    try {
      await this.#until('executors', () => executors.every(({ report }) => report))
      this.#begin(executors, 1)
      await this.#until('version 1', () => this.#isLive(1) && executors[0]!.report?.isReady)
      drawing = this.#draw(executors, ended.signal).catch((error) => {
        this.#problem = error
      })
      let written: Written | undefined
      this.#children.start<Written>('writer.ts', (message) => {
        written = message
      })
      const part = (of: number) => () => this.#figures.handled >= this.#flights.length * of
      await this.#until('the first flights', part(1 / 8))
      const switched = await this.#switch(executors)
      await this.#until('half of the flights', part(1 / 2))
      const takeover = await this.#killOwner(executors)
      const { position, ms } = await this.#until('the writer', () => written)
      await projections[1]!.waitFor(position, { timeoutMs: 60_000, signal: this.#signal })
      ended.abort()
      await drawing
      return await this.#compare(ms, switched, takeover)
    } finally {
      ended.abort()
      await drawing
      for (const one of watching) one.unsubscribe()
    }
  }

  #isLive(version: number): boolean {
    return this.#states.get(version) === 'live'
  }

  #begin(executors: readonly Executor[], version: number): void {
    for (const { child } of executors.filter((one) => one.version === version)) child.send('start')
  }

  #startExecutor(version: number): Executor {
    const hear = (report: Report) => {
      executor.report = report
      if (report.isReady) executor.role = executor.owner ? 'at work' : 'stands by'
      if (report.handled === 0) return
      executor.owner = true
      executor.role = 'at work'
      executor.handled += report.handled
      this.#view.latencies.add(performance.now(), report.latencies)
      if (!this.#outage) this.#pushed.add(performance.now(), report.latencies)
    }
    const child = this.#children.start<Report>('executor.ts', hear, `${version}`)
    const executor: Executor = {
      child,
      pid: child.pid!,
      version,
      role: 'waits',
      owner: false,
      handled: 0,
      report: undefined,
    }
    return executor
  }

  /** The new release comes: its version is built beside the live one, and takes over by itself. */
  async #switch(executors: Executor[]): Promise<string> {
    const began = performance.now()
    this.#begin(executors, 2)
    await this.#until('version 2', () => this.#isLive(2))
    const { appended } = await this.#reader.figures()
    const took = `version 2 was built in ${seconds(performance.now() - began)} and took over at flight ${number(appended)}`
    this.#view.note(took)
    await this.#until('version 2 at work', () =>
      executors.some(({ version, owner }) => version === 2 && owner),
    )
    return took
  }

  /** Kills the one at work on the live version between its write and its commit, and waits for another to take over and catch up. */
  async #killOwner(executors: Executor[]): Promise<string> {
    const candidates = executors.filter(({ version }) => version === 2)
    const victim = candidates.find(({ owner }) => owner)!
    victim.child.send('hold')
    const deadline = performance.now() + 1_000 // there may be nothing left to hold
    await this.#until('the owner', () => victim.report?.holding || performance.now() > deadline)
    this.#children.kill(victim.child)
    const killed = performance.now()
    this.#outage = true
    Object.assign(victim, { owner: false, role: 'killed' })
    this.#view.note(`pid ${victim.pid} killed (SIGKILL) after its write, before its commit`)

    const heir = await this.#until(
      'a takeover',
      () => candidates.find((one) => one !== victim && one.owner), // a report of the victim may still arrive
    )
    const takeover = `pid ${heir.pid} took over ${seconds(performance.now() - killed)} after the kill`
    this.#view.note(takeover)
    const before = this.#figures
    await this.#until('the backlog', () => {
      const { appended, handled } = this.#figures
      return this.#figures !== before && appended - handled <= CAUGHT_UP
    })
    this.#outage = false
    this.#view.note(`pid ${heir.pid} has caught up, ${seconds(performance.now() - killed)} after the kill`)
    return takeover
  }

  async #draw(executors: readonly Executor[], signal: AbortSignal): Promise<void> {
    do {
      this.#figures = await this.#reader.figures()
      this.#view.draw(this.#figures, executors)
      await delay(this.#view.pause, undefined, { signal }).catch(() => {})
    } while (!signal.aborted)
    this.#figures = await this.#reader.figures()
    this.#view.draw(this.#figures, executors)
  }

  async #compare(writing: number, switched: string, takeover: string): Promise<boolean> {
    const rows = await this.#reader.rows()
    const expected = countDirectly(this.#flights)
    const wrong = differences(expected, rows)
    const { appended } = this.#figures
    const mean = rows.slice(0, 3).map(({ airport, departures, delay, longest }) => {
      return `${airport} ${number(departures)} departures, ${(delay / departures).toFixed(1)} min late on average, ${number(longest)} min at most`
    })
    this.#view.end([
      `appended      ${number(appended)} flights of ${number(expected.length)} airports in ${seconds(writing)}, ${number(Math.round(appended / (writing / 1000)))}/s`,
      `push latency  ${this.#pushed.show()}, from append to read model (outage left out)`,
      `switch        ${switched}`,
      `takeover      ${takeover}`,
      `busiest       ${mean.join('\n                ')}`,
      `time          ${seconds(performance.now())} in all`,
      '',
      ...wrong.map((line) => `DIFFERENT     ${line}`),
      wrong.length === 0
        ? `EQUAL: the read model agrees with the file in all ${number(expected.length)} airports`
        : `${wrong.length} of ${number(expected.length)} airports differ between read model and file`,
    ])
    return wrong.length === 0
  }

  #until<T>(what: string, condition: () => T): Promise<NonNullable<T>> {
    const check = () => {
      this.#signal.throwIfAborted()
      const problem = this.#problem ?? this.#children.problem
      if (problem) throw problem
      return condition()
    }
    return until(check, { what, timeoutMs: 60_000 }) as Promise<NonNullable<T>>
  }
}
