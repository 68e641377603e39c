import { ReplaySubject } from 'rxjs'
import { NOT_HELD_BACK } from '../read/held-back.ts'
import type { ExecutorStatus } from './report.ts'

/** The status of a subscription in this process. */
export type SubscriptionStatus = ExecutorStatus

const NOTHING: ExecutorStatus = {
  state: 'stopped',
  position: 0,
  horizon: 0,
  lag: 0,
  lagIsEstimate: false,
  heldBack: NOT_HELD_BACK,
  inFlight: 0,
  partitions: [],
}
const ORDER = ['stopped', 'waiting', 'paused', 'live', 'catching-up', 'failing'] as const

/** Merges the statuses of all executors that a subscription has in this process. */
export class Statuses {
  readonly #of = new Map<string, ExecutorStatus>()
  /** The error that ended an executor, until another executor begins. */
  #ended: Pick<ExecutorStatus, 'error' | 'since'> | undefined
  /** It replays the last value, also after the end. */
  readonly status$ = new ReplaySubject<ExecutorStatus>(1)

  constructor() {
    this.status$.next(NOTHING)
  }

  set(executor: string, status: ExecutorStatus): void {
    if (!this.#of.has(executor)) this.#ended = undefined
    this.#of.set(executor, status)
    const { state, error, since } = status
    if (state === 'stopped' && since) this.#ended = { error, since }
    this.#emit(status)
    if (status.state === 'stopped' && this.#of.size > 1) this.#of.delete(executor)
  }

  #emit(last: ExecutorStatus): void {
    const running = [...this.#of.values()].filter(({ state }) => state !== 'stopped')
    const told = running.length > 1 ? merge(running) : (running[0] ?? last)
    this.status$.next(told.since ? told : { ...told, ...this.#ended })
  }
}

export function merge(running: readonly ExecutorStatus[]): ExecutorStatus {
  const owning = running.filter(({ partitions }) => partitions.length > 0)
  const sum = (field: 'lag' | 'inFlight') => running.reduce((sum, status) => sum + status[field], 0)
  // An executor that catches up, or is paused, reports the lag of the whole subscription, so these must not be added.
  const behind = ({ state, heldBack }: ExecutorStatus) =>
    state === 'catching-up' || state === 'failing' || state === 'paused' || heldBack.events > 0
  const whole = running.filter(behind).map(({ lag }) => lag)
  const failing = running.find(({ state }) => state === 'failing')
  return {
    state: ORDER[Math.max(...running.map(({ state }) => ORDER.indexOf(state)))]!,
    position: owning.length > 0 ? Math.min(...owning.map(({ position }) => position)) : 0,
    horizon: Math.max(...running.map(({ horizon }) => horizon)),
    lag: whole.length > 0 ? Math.max(...whole, sum('inFlight')) : sum('lag'),
    lagIsEstimate: running.some(({ lagIsEstimate }) => lagIsEstimate),
    // Each executor reports this for the whole subscription, as of its last count.
    heldBack: running.map(({ heldBack }) => heldBack).reduce((a, b) => (b.events > a.events ? b : a)),
    inFlight: sum('inFlight'),
    partitions: owning.flatMap(({ partitions }) => partitions).sort((a, b) => a - b),
    ...(failing?.since ? { error: failing.error, since: failing.since } : {}),
  }
}
