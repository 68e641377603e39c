import type { Observable } from 'rxjs'
import type { Meow } from '../../src/index.ts'
import { until } from './until.ts'

/** The current value of an Observable that has one. */
export function current<T>(source: Observable<T>): T {
  let value: T | undefined
  source
    .subscribe((it) => {
      value = it
    })
    .unsubscribe()
  return value as T
}

/** Waits until push works, if the store listens. */
export async function listening(meow: Meow): Promise<void> {
  if (current(meow.status$).state === 'polling') return
  await until(() => current(meow.status$).state === 'listening', { what: 'push' })
}
