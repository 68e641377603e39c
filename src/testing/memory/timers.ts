// Timers of a store in memory.
import type { StreamWrite } from '../../append/append.ts'
import type { Outcome } from '../../append/batch.ts'
import type { Request } from '../../append/request.ts'
import { errorToStore } from '../../core/error-to-store.ts'
import { nameSchema } from '../../core/fields.ts'
import { parse } from '../../core/validate.ts'
import type { StreamRef } from '../../events/event.ts'
import { retryPause } from '../../subscriptions/retry.ts'
import type { Due, ScheduledTimer } from '../../timers/timer.ts'
import { checkDue, encodeWrite, fromStored, toRequest } from '../../timers/timer.ts'
import type { ScheduledOptions, TimerOptions } from '../../timers/timers.ts'
import { isFinal, scheduledOptionsSchema, TIMER_RETRY, timerOptionsSchema } from '../../timers/timers.ts'
import { firstOf } from './first.ts'
import type { MemoryTime, Waiting } from './time.ts'
import { steady } from './worker.ts'

interface Timer {
  readonly key: string
  readonly due: number
  /** Timers that are due at the same time fire in the order in which they were made. */
  readonly number: number
  readonly stream: StreamRef
  readonly json: string
  attempts: number
  error: string
  /** When it fires; null: it has failed for the last time. */
  next: number | null
}

/** As `Timers`, with the same checks and the same attempts. */
export class MemoryTimers implements Waiting {
  readonly #all = new Map<string, Timer>()
  readonly #time: MemoryTime
  readonly #append: (request: Request) => Outcome
  #count = 0

  constructor(time: MemoryTime, append: (request: Request) => Outcome) {
    this.#time = time
    this.#append = append
  }

  schedule(key: string, due: Due, write: StreamWrite, options: TimerOptions = {}): void {
    parse(nameSchema, key, 'key')
    const when = checkDue(due, 'due')
    const { stream, json } = encodeWrite(write)
    parse(timerOptionsSchema, options, 'options')
    const at = 'at' in when ? when.at.getTime() : this.#time.now() + when.inMs
    const timer: Timer = {
      key,
      due: at,
      number: ++this.#count,
      stream,
      json,
      attempts: 0,
      error: '',
      next: at,
    }
    this.#all.set(key, timer)
    this.#time.wake()
  }

  unschedule(key: string, options: TimerOptions = {}): boolean {
    parse(nameSchema, key, 'key')
    parse(timerOptionsSchema, options, 'options')
    return this.#all.delete(key)
  }

  scheduled(options: ScheduledOptions = {}): ScheduledTimer[] {
    const { limit, prefix } = parse(scheduledOptionsSchema, options, 'options')
    return [...this.#all.values()]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => a.due - b.due || a.number - b.number)
      .slice(0, limit)
      .map(({ key, due, stream, json, attempts, error, next }) => ({
        key,
        due: new Date(due),
        stream: { ...stream },
        ...fromStored(json),
        ...(attempts === 0
          ? {}
          : { failure: { attempts, error, retryAt: next === null ? null : new Date(next) } }),
      }))
  }

  next(): number | undefined {
    return firstOf(this.#all.values())?.next ?? undefined
  }

  fire(): void {
    const timer = firstOf(this.#all.values())
    if (!timer) return
    const outcome = this.#try(timer)
    if (!(outcome instanceof Error)) {
      this.#all.delete(timer.key)
      return
    }
    timer.attempts++
    timer.error = errorToStore(outcome)
    const isLast = timer.attempts >= TIMER_RETRY.maxAttempts || isFinal(outcome)
    timer.next = isLast ? null : this.#time.now() + retryPause(timer.attempts, TIMER_RETRY, steady)
  }

  #try({ key, due, number, stream, json }: Timer): Outcome {
    try {
      // With the number, because a clock that stands still gives two timers of one key the same time.
      return this.#append(toRequest(key, `${due}/${number}`, stream, json))
    } catch (error) {
      return error as Error
    }
  }
}
