/**
 * A controller that aborts with any of these signals. Abort it in the end, so that they forget it: AbortSignal.any keeps
 * what it made as long as the longest-lived of its signals, in Node 20.
 */
export function abortWith(...signals: (AbortSignal | undefined)[]): AbortController {
  const controller = new AbortController()
  for (const signal of signals) {
    if (!signal) continue
    const abort = () => controller.abort(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
    controller.signal.addEventListener('abort', () => signal.removeEventListener('abort', abort))
  }
  return controller
}
