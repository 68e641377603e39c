/** Milliseconds of a clock that all processes of a machine share. */
export const now = () => Number(process.hrtime.bigint()) / 1e6

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

export const median = (values: readonly number[]) => quantile(values, 0.5)

/**
 * How long each way runs before it is measured, ours and the others: so long it takes until V8 has compiled what runs often. In ms.
 */
const WARM_MS = 5_000

/** How fast something is called: calls a second, and in ms how long one takes. */
export interface Speed {
  rate: number
  p50: number
  p99: number
}

/** Calls a function from this many clients at once; each client calls again as soon as its last call has ended. */
export async function speedOf(
  { clients, seconds }: { clients: number; seconds: number },
  call: (client: number) => Promise<unknown>,
): Promise<Speed> {
  const run = async (ms: number): Promise<Speed> => {
    const took: number[] = []
    const begin = now()
    const one = async (client: number) => {
      for (let last = now(); last - begin < ms; ) {
        await call(client)
        const at = now()
        took.push(at - last)
        last = at
      }
    }
    await Promise.all(Array.from({ length: clients }, (_, client) => one(client)))
    return { rate: (took.length / (now() - begin)) * 1000, p50: median(took), p99: quantile(took, 0.99) }
  }
  await run(WARM_MS)
  return run(seconds * 1000)
}
