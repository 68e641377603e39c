/** The status of a subscription of JetStream in this process. */
export interface JetStreamStatus {
  /** `waiting`: NATS is not reachable yet. `catching-up`: there are more messages than are held here. `live`: there are not. `stopped`: it has not begun, or has ended; with an `error` if it ended by itself. */
  state: 'stopped' | 'waiting' | 'catching-up' | 'live'
  /** Messages that are not acked yet, in all partitions and whoever holds them; counted each second while this is observed. */
  lag: number
  /** Messages that this process holds. */
  inFlight: number
  /** The error that ended it. */
  error?: unknown
}

export const STOPPED: JetStreamStatus = { state: 'stopped', lag: 0, inFlight: 0 }
