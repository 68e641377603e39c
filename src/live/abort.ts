import { setMaxListeners } from 'node:events'

/** A controller whose signal any number may wait for: Node takes more than 10 for a leak, and says so on stderr. */
export function manyWaitFor(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}

/**
 * A controller that aborts with any of these signals. Abort it in the end, so that they forget it: AbortSignal.any keeps
 * what it made as long as the longest-lived of its signals, in Node 20.
 */
export function abortWith(...signals: (AbortSignal | undefined)[]): AbortController {
  const controller = new AbortController()
  for (const signal of signals) {
    if (!signal) continue
    setMaxListeners(0, signal)
    const abort = () => controller.abort(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
    controller.signal.addEventListener('abort', () => signal.removeEventListener('abort', abort))
  }
  return controller
}
