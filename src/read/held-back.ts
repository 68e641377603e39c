/** Committed events that an open append holds back; `meow.stallers()` names it. */
export interface HeldBack {
  events: number
  /** For how long the first event of these categories has waited; 0 if none does. */
  seconds: number
}

export const NOT_HELD_BACK: HeldBack = Object.freeze({ events: 0, seconds: 0 })

/** From the columns of the database: how many events, and for how many ms. */
export function heldBack(events: string, ms: string): HeldBack {
  return { events: Number(events), seconds: Number(ms) / 1_000 }
}
