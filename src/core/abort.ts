import { setMaxListeners } from 'node:events'

/** A controller whose signal may have any number of listeners. Node warns about a leak on stderr if there are more than 10. */
export function sharedController(): AbortController {
  const controller = new AbortController()
  unlimited(controller.signal)
  return controller
}

/** A signal that Node did not make (of jsdom, of a polyfill) has no such limit. */
function unlimited(signal: AbortSignal): void {
  try {
    setMaxListeners(0, signal)
  } catch {
    // Node throws for such a signal
  }
}

/** Calls back when the signal aborts, or at once if it has aborted already. The returned function cancels this. */
export function whenAborted(signal: AbortSignal, call: () => void): () => void {
  if (signal.aborted) {
    call()
    return () => {}
  }
  signal.addEventListener('abort', call, { once: true })
  return () => signal.removeEventListener('abort', call)
}

/**
 * A controller that aborts when any of these signals does. Abort it when it is no longer needed, so that the signals release
 * it: in Node 20, AbortSignal.any keeps its result as long as the longest-lived of its signals.
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
 * The callers that wait for a promise. A promise keeps every callback that `then` was given until it settles, and Promise.race
 * adds one each time. So each promise gets one callback here, and callers that give up leave this set.
 */
const waitersOf = new WeakMap<Promise<unknown>, Set<Waiter>>()

/**
 * The result of the promise, or a rejection as soon as the signal aborts. After an abort nothing keeps the caller in memory.
 */
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

/** Resolves when the promise does or the signal aborts. Rejects if the promise rejects before that. */
export async function settledOrAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  await abortable(promise, signal).catch((error) => {
    if (!signal.aborted) throw error
  })
}

function begin(promise: Promise<unknown>): Set<Waiter> {
  const waiters = new Set<Waiter>()
  waitersOf.set(promise, waiters)
  const tell = (settle: (waiter: Waiter) => void) => {
    waitersOf.delete(promise) // a later caller gets a new callback
    waiters.forEach(settle)
  }
  promise.then(
    (value) => tell((waiter) => waiter.resolve(value)),
    (error) => tell((waiter) => waiter.reject(error)),
  )
  return waiters
}
