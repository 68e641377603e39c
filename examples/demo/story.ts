import type { ChildProcess } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../test/support/until.ts'
import type { Children } from './children.ts'
import type { Report } from './executor.ts'
import { countDirectly, differences, type Flight } from './flights.ts'
import { Latencies } from './meter.ts'
import type { Figures, ReadModel } from './read-model.ts'
import type { View } from './view.ts'
import type { Written } from './writer.ts'

const EXECUTORS = 3
const CAUGHT_UP = 100 // events of lag
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
const number = (value: number) => value.toLocaleString('en-US')

interface Executor {
  child: ChildProcess
  pid: number
  role: string
  owner: boolean
  handled: number
  report: Report | undefined
}

/** What happens in the demo, from the first process to the comparison. */
export class Story {
  readonly #flights: readonly Flight[]
  readonly #children: Children
  readonly #readModel: ReadModel
  readonly #view: View
  readonly #signal: AbortSignal
  readonly #pushed = new Latencies() // without those who waited for an owner
  #outage = false
  #figures: Figures = { appended: 0, handled: 0, repeats: 0 }
  #problem: unknown

  constructor(
    flights: readonly Flight[],
    children: Children,
    readModel: ReadModel,
    view: View,
    signal: AbortSignal,
  ) {
    this.#flights = flights
    this.#children = children
    this.#readModel = readModel
    this.#view = view
    this.#signal = signal
  }

  /** @returns whether the read model came out right */
  async tell(): Promise<boolean> {
    const ended = new AbortController()
    const executors = Array.from({ length: EXECUTORS }, () => this.#startExecutor())
    const drawing = this.#draw(executors, ended.signal).catch((error) => {
      this.#problem = error
    })
    try {
      await this.#until('executors', () =>
        executors.every(({ report }) => report && report.state !== 'stopped'),
      )
      await this.#until('an owner', () => executors.some(({ owner }) => owner))
      let written: Written | undefined
      this.#children.start<Written>('writer.ts', (message) => {
        written = message
      })

      const half = this.#flights.length / 2
      await this.#until('half of the flights', () => this.#figures.handled >= half)
      const takeover = await this.#killOwner(executors)
      const { position, ms } = await this.#until('the writer', () => written)
      await this.#until('the last checkpoint', () =>
        executors.some((one) => (one.report?.position ?? 0) >= position),
      )
      ended.abort()
      await drawing
      return await this.#compare(ms, takeover)
    } finally {
      ended.abort()
      await drawing
    }
  }

  #startExecutor(): Executor {
    const child = this.#children.start<Report>('executor.ts', (report) => {
      executor.report = report
      executor.owner = report.state === 'catching-up' || report.state === 'live'
      executor.role = {
        waiting: 'stands by',
        stopped: 'starts',
        live: 'at work',
        'catching-up': 'catches up',
        failing: 'fails',
        paused: 'is paused',
      }[report.state]
      executor.handled += report.latencies.length
      this.#view.latencies.add(performance.now(), report.latencies)
      if (!this.#outage) this.#pushed.add(performance.now(), report.latencies)
    })
    const executor: Executor = {
      child,
      pid: child.pid!,
      role: 'starts',
      owner: false,
      handled: 0,
      report: undefined,
    }
    return executor
  }

  /** Kills the one at work between its write and its ack, and waits for another to take over and catch up. */
  async #killOwner(executors: Executor[]): Promise<string> {
    const victim = executors.find(({ owner }) => owner)!
    victim.child.send('hold')
    const deadline = performance.now() + 1_000 // there may be nothing left to hold
    await this.#until('the owner', () => victim.report?.holding || performance.now() > deadline)
    this.#children.kill(victim.child)
    const killed = performance.now()
    this.#outage = true
    Object.assign(victim, { owner: false, role: 'killed' })
    this.#view.note(`pid ${victim.pid} killed (SIGKILL) after its write, before its ack`)

    const heir = await this.#until(
      'a takeover',
      () => executors.find((one) => one !== victim && one.owner), // a report of the victim may still arrive
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
      this.#figures = await this.#readModel.figures()
      this.#view.draw(this.#figures, executors)
      await delay(this.#view.pause, undefined, { signal }).catch(() => {})
    } while (!signal.aborted)
    this.#figures = await this.#readModel.figures()
    this.#view.draw(this.#figures, executors)
  }

  async #compare(writing: number, takeover: string): Promise<boolean> {
    const rows = await this.#readModel.rows()
    const expected = countDirectly(this.#flights)
    const wrong = differences(expected, rows)
    const { appended, repeats } = this.#figures
    const mean = rows.slice(0, 3).map(({ airport, departures, delay }) => {
      return `${airport} ${number(departures)} departures, ${(delay / departures).toFixed(1)} min late on average`
    })
    this.#view.end([
      `appended      ${number(appended)} flights of ${number(expected.length)} airports in ${seconds(writing)}, ${number(Math.round(appended / (writing / 1000)))}/s`,
      `push latency  ${this.#pushed.show()}, from append to executor (outage left out)`,
      `takeover      ${takeover}`,
      `repeats       ${number(repeats)} events came twice by that; the read model ignored them`,
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
