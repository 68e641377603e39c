// Time for the client. It can't use src/core/clock.ts, which takes its timers from Node.

/** Milliseconds since 1970. It goes on while a laptop sleeps, which the monotonic clock of browsers may not do. */
export const wall = (): number => Date.now()

/** Calls back in `ms`. The returned function cancels this. */
export function after(ms: number, call: () => void): () => void {
  const timer = setTimeout(call, ms)
  return () => clearTimeout(timer)
}

/** Calls back every `ms`. The returned function ends this. */
export function every(ms: number, call: () => void): () => void {
  const timer = setInterval(call, ms)
  return () => clearInterval(timer)
}
