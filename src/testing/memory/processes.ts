// Process managers of a store in memory.

import { conditionWith } from '../../append/condition.ts'
import type { Request } from '../../append/request.ts'
import { errorToStore } from '../../core/error-to-store.ts'
import { nameSchema } from '../../core/fields.ts'
import { parse } from '../../core/validate.ts'
import { selectorOf } from '../../events/selector.ts'
import { inheritedCause } from '../../processes/cause.ts'
import type { Checked, ProcessManager, TimerInput } from '../../processes/define.ts'
import { checkProcessManager } from '../../processes/define.ts'
import type { ProcessInstance, ProcessInstancesOptions } from '../../processes/processes.ts'
import { instancesOptionsSchema } from '../../processes/processes.ts'
import type { Cause, EffectWrite, Input } from '../../processes/reaction.ts'
import { correlate, react, stateOf } from '../../processes/reaction.ts'
import { retryPause } from '../../subscriptions/retry.ts'
import type { Worker } from '../../subscriptions/worker.ts'
import { firstOf } from './first.ts'
import type { MemorySubscriptions } from './subscriptions.ts'
import type { MemoryTime, Waiting } from './time.ts'
import { steady } from './worker.ts'

interface Timer {
  readonly id: string
  readonly name: string
  readonly due: number
  readonly number: number
  readonly cause: Cause
  attempts: number
  error: string
  next: number | null
}

interface Instance {
  state: string
  version: number
  updatedAt: number
  /** Until when it is kept, since it has ended. */
  keepUntil: number | undefined
  readonly timers: Map<string, Timer>
}

/** Runs process managers: a state, its timers and its appended events change together, or not at all. */
export class MemoryProcesses {
  readonly #instances = new Map<string, Map<string, Instance>>()
  readonly #time: MemoryTime
  readonly #subscriptions: MemorySubscriptions
  readonly #append: (requests: readonly Request[]) => void
  readonly #seenKey: Buffer
  readonly #running = new Set<Waiting>()
  #timers = 0

  /** `append` throws if any is refused, and then appends nothing. */
  constructor(
    time: MemoryTime,
    subscriptions: MemorySubscriptions,
    append: (requests: readonly Request[]) => void,
    seenKey: Buffer,
  ) {
    this.#seenKey = seenKey
    this.#time = time
    this.#subscriptions = subscriptions
    this.#append = append
  }

  run(definition: ProcessManager<any, any, any>): Worker {
    const manager = checkProcessManager(definition)
    const { name, partitions, leaseMs, from, retry, outage, onExhausted } = manager
    const subscription = this.#subscriptions.get(name, {
      ...selectorOf(definition),
      ...(from === undefined ? {} : { from }),
      partitions,
      leaseMs,
    })
    const worker = subscription.process(
      (event) => {
        const id = correlate(manager, event)
        if (id !== null) this.#input(manager, id, { input: event, cause: event })
      },
      { retry, outage, onExhausted },
    )
    const timers: Waiting = {
      next: () => firstOf(this.#timersOf(name))?.next ?? undefined,
      fire: () => this.#fire(manager, (error) => worker.fail(error)),
    }
    this.#time.waiting.add(timers)
    this.#running.add(timers)
    const end = () => {
      this.#time.waiting.delete(timers)
      this.#running.delete(timers)
    }
    worker.stopped.addEventListener('abort', end)
    if (worker.stopped.aborted) end()
    return worker
  }

  /** Fires the timers that are due. */
  pump(): void {
    const isDue = (next: number | undefined) => next !== undefined && next <= this.#time.now()
    for (const timers of this.#running)
      while (this.#running.has(timers) && isDue(timers.next())) timers.fire()
  }

  instances(name: string, options: ProcessInstancesOptions = {}): ProcessInstance[] {
    parse(nameSchema, name, 'name')
    const { id, limit } = parse(instancesOptionsSchema, options, 'options')
    const found = [...this.#of(name)].filter(([own]) => id === undefined || own === id)
    if (found.length === 0) this.#subscriptions.known(name)
    return found
      .sort(([a, { updatedAt: x }], [b, { updatedAt: y }]) => y - x || (a < b ? -1 : 1))
      .slice(0, limit)
      .map(([id, { state, updatedAt, keepUntil, timers }]) => ({
        id,
        state: JSON.parse(state),
        timers: [...timers.values()].sort((a, b) => a.due - b.due || (a.name < b.name ? -1 : 1)).map(toTimer),
        updatedAt: new Date(updatedAt),
        ended: keepUntil !== undefined,
      }))
  }

  /** The instances of a process manager. Those that have ended are forgotten after their time. */
  #of(name: string): Map<string, Instance> {
    const all = this.#instances.get(name) ?? new Map<string, Instance>()
    this.#instances.set(name, all)
    const now = this.#time.now()
    for (const [id, { keepUntil }] of all) if (keepUntil !== undefined && keepUntil <= now) all.delete(id)
    return all
  }

  *#timersOf(name: string): Iterable<Timer> {
    for (const { timers } of this.#instances.get(name)?.values() ?? []) yield* timers.values()
  }

  #request({ request, failIf }: EffectWrite): Request {
    if (failIf) request.condition = conditionWith(failIf.given!, this.#seenKey, failIf.path)
    return request
  }

  #input(manager: Checked, id: string, input: Input, fired?: string): void {
    const { name, version, initialJson, keepEndedMs } = manager
    const all = this.#of(name)
    const now = this.#time.now()
    const instance = all.get(id) ?? {
      ...{ state: initialJson, version, updatedAt: now, keepUntil: undefined },
      timers: new Map<string, Timer>(),
    }
    if (instance.keepUntil !== undefined) return
    const state = stateOf(manager, instance.state, instance.version)
    const reaction = react(manager, state, input, { id, now })
    this.#append(reaction.writes.map((write) => this.#request(write)))
    // Nothing can fail from here on.
    all.set(id, instance)
    instance.state = reaction.state
    instance.version = version
    instance.updatedAt = now
    if (fired !== undefined) instance.timers.delete(fired)
    for (const [timer, due] of reaction.timers) {
      instance.timers.delete(timer)
      if (due === null) continue
      const cause = inheritedCause(input.cause)
      const number = ++this.#timers
      instance.timers.set(timer, { id, name: timer, due, number, cause, attempts: 0, error: '', next: due })
    }
    if (reaction.ended) {
      instance.timers.clear()
      instance.keepUntil = now + keepEndedMs
    }
    this.#time.wake()
  }

  #fire(manager: Checked, stop: (error: unknown) => void): void {
    const timer = firstOf(this.#timersOf(manager.name))
    if (!timer) return
    const { id, name, due, cause } = timer
    const input: TimerInput = { type: '$timer', name, due: new Date(due) }
    try {
      this.#input(manager, id, { input, cause }, name)
    } catch (error) {
      const { retry, onExhausted } = manager
      const isLast = timer.attempts + 1 >= retry.maxAttempts
      if (isLast && onExhausted === 'stop') {
        stop(error)
        return
      }
      timer.attempts++
      timer.error = errorToStore(error)
      timer.next = isLast ? null : this.#time.now() + retryPause(timer.attempts, retry, steady)
    }
  }
}

function toTimer({ name, due, attempts, error, next }: Timer): ProcessInstance['timers'][number] {
  if (attempts === 0) return { name, due: new Date(due) }
  const failure = { attempts, error, retryAt: next === null ? null : new Date(next) }
  return { name, due: new Date(due), failure }
}
