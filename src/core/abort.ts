import { setMaxListeners } from 'node:events'

/** A controller whose signal any number may wait for: Node takes more than 10 for a leak, and says so on stderr. */
export function sharedController(): AbortController {
  const controller = new AbortController()
  unlimited(controller.signal)
  return controller
}

/** A signal of another make than Node's (jsdom's, a polyfill's) has no such limit. */
function unlimited(signal: AbortSignal): void {
  try {
    setMaxListeners(0, signal)
  } catch {
    // and Node refuses to set one
  }
}

/** Calls back when the signal aborts, at once if it has already. What it returns takes that back. */
export function whenAborted(signal: AbortSignal, call: () => void): () => void {
  if (signal.aborted) {
    call()
    return () => {}
  }
  signal.addEventListener('abort', call, { once: true })
  return () => signal.removeEventListener('abort', call)
}

/**
 * A controller that aborts with any of these signals. Abort it in the end, so that they forget it: AbortSignal.any keeps
 * what it made as long as the longest-lived of its signals, in Node 20.
 */
export function abortWith(...signals: (AbortSignal | undefined)[]): AbortController {
  const controller = new AbortController()
  for (const signal of signals) {
    if (!signal || controller.signal.aborted) continue
    unlimited(signal)
    const forget = whenAborted(signal, () => controller.abort(signal.reason))
    controller.signal.addEventListener('abort', forget)
  }
  return controller
}

interface Waiter {
  resolve(value: any): void
  reject(error: unknown): void
}

/**
 * Who waits for a promise. What `then` is given stays with a promise until it settles, and Promise.race gives it something each
 * time; so each promise is given one callback, and those that give up leave this set.
 */
const waitersOf = new WeakMap<Promise<unknown>, Set<Waiter>>()

/** The promise, or a rejection as soon as the signal aborts. Then both forget the caller, however long the promise takes. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const waiters = waitersOf.get(promise) ?? begin(promise)
    const waiter: Waiter = {
      resolve: (value) => {
        forget()
        resolve(value)
      },
      reject: (error) => {
        forget()
        reject(error)
      },
    }
    waiters.add(waiter)
    const forget = whenAborted(signal, () => {
      waiters.delete(waiter)
      reject(signal.reason)
    })
  })
}

/** Resolves once the promise has, or the signal aborts; rejects if the promise rejects before that. */
export async function settledOrAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  await abortable(promise, signal).catch((error) => {
    if (!signal.aborted) throw error
  })
}

function begin(promise: Promise<unknown>): Set<Waiter> {
  const waiters = new Set<Waiter>()
  waitersOf.set(promise, waiters)
  const tell = (settle: (waiter: Waiter) => void) => {
    waitersOf.delete(promise) // whoever comes later is answered by a new callback
    waiters.forEach(settle)
  }
  promise.then(
    (value) => tell((waiter) => waiter.resolve(value)),
    (error) => tell((waiter) => waiter.reject(error)),
  )
  return waiters
}
