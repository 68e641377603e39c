import type { Observable } from 'rxjs'
import { Subscription } from 'rxjs'
import { until } from './until.ts'

/** What an Observable said so far. */
export interface Collected<T> {
  readonly all: T[]
  readonly subscription: Subscription
  completed: boolean
  error: any
  /** Waits until it has emitted at least `count` values. */
  has(count: number, timeoutMs?: number): Promise<void>
  /** Waits until it completed, or throws its error. */
  ended(timeoutMs?: number): Promise<T[]>
}

/** Subscribes, and keeps all that comes. */
export function collect<T>(source: Observable<T>, each: (value: T) => void = () => {}): Collected<T> {
  const all: T[] = []
  const check = (condition: () => boolean) => () => {
    if (collected.error) throw collected.error
    return condition()
  }
  const collected: Collected<T> = {
    all,
    subscription: new Subscription(),
    completed: false,
    error: undefined,
    has: async (count, timeoutMs = 15_000) => {
      const enough = check(() => all.length >= count)
      await until(enough, { timeoutMs, what: `${count} values` }).catch((error) => {
        throw error === collected.error ? error : new Error(`${error.message}, came to ${all.length}`)
      })
    },
    ended: async (timeoutMs = 15_000) => {
      await until(
        check(() => collected.completed),
        { timeoutMs, what: 'the end' },
      )
      return all
    },
  }
  collected.subscription.add(
    source.subscribe({
      next: (value) => {
        all.push(value)
        each(value)
      },
      error: (error) => {
        collected.error = error
      },
      complete: () => {
        collected.completed = true
      },
    }),
  )
  return collected
}
