/** From now on this process's wall clock is wrong; returns the right one. */
export function shiftClock(offsetMs: number): () => number {
  const True = Date
  if (offsetMs !== 0) {
    globalThis.Date = class extends True {
      constructor(...values: []) {
        if (values.length > 0) super(...values)
        else super(True.now() + offsetMs)
      }
      static override now = () => True.now() + offsetMs
    } as DateConstructor
  }
  return True.now
}
