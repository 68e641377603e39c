import type { RecordedEvent } from '../events/event.ts'
import { Horizons } from '../read/horizon.ts'
import type { Page } from '../read/page.ts'
import type { PageReader } from '../read/page-reader.ts'
import type { TailPorts } from './tail.ts'

/**
 * A look that mostly does without the locks. Where the events above `after` follow each other without a gap, each
 * position among them is committed, so nothing can still appear there: they are settled, whoever holds what. That is the
 * rule while one category is written to; where others interleave there are gaps, and the horizon has to be asked.
 * `saw` is told the event at which the horizon then stands.
 */
export function makeFastPath(
  pages: PageReader,
  look: TailPorts['fetchHorizon'],
  pageSize: number,
  saw: (event: RecordedEvent) => void = () => {},
): TailPorts['fetchHorizon'] {
  let likely = true // the last page had no gap
  return async (after, promised) => {
    if (likely && promised > after && promised - after <= pageSize) {
      const cut = await pages.fastPath(after, pageSize)
      const page = cut(Number.MAX_SAFE_INTEGER)
      const settled = withoutGap(page, after)
      if (settled >= promised) {
        saw(page.events[settled - after - 1]!)
        return [Horizons.settled(settled), cut]
      }
    }
    const [horizons, cut] = await look(after, promised)
    const page = cut?.(Number.MAX_SAFE_INTEGER)
    // A page that ends where its events do, and not with the horizon, was too small for all of them.
    const last = page?.events.at(-1)?.position
    if (last !== undefined) likely = withoutGap(page!, after) === last && page!.position > last
    return [horizons, cut]
  }
}

/** The position up to which the events follow each other and `after`. */
function withoutGap({ events }: Page, after: number): number {
  let last = after
  for (const { position } of events) {
    if (position !== last + 1) break
    last = position
  }
  return last
}
