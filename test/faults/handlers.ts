import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Handler, RecordedEvent } from '../../src/index.ts'
import type { Random } from '../support/random.ts'

/** What handlers tell, and how they work. */
export interface HandlerOptions {
  begin(event: RecordedEvent, attempt: number): void
  done(event: RecordedEvent): void
  /** The effect of a transactional handler. */
  effect(event: RecordedEvent, client: pg.ClientBase): Promise<unknown>
  dice: Random
  /** How long a handler takes: least and most. */
  handlerMs: readonly [number, number]
}

/** Handlers; a share of them fails in every possible way: they hang, throw, or break their transaction. */
export function handlers({ begin, done, effect, dice, handlerMs }: HandlerOptions) {
  let share = 0

  /** A moment's work; one whose time is up gives up. */
  const work = async (signal: AbortSignal) => {
    const ms = dice.int(...(handlerMs as [number, number]))
    if (ms > 0) await delay(ms)
    if ((signal.reason as { code?: string } | undefined)?.code === 'ERR_TIMEOUT') throw signal.reason
  }
  const way = () => (dice.chance(share) ? dice.int(0, 4) : -1)

  const plain: Handler = async (event, { attempt, signal }) => {
    begin(event, attempt)
    const trouble = way()
    if (trouble === 0) await hang(signal)
    await work(signal)
    if (trouble > 0) throw new Error('trouble')
    done(event)
  }

  const transactional: Handler = async (event, { attempt, signal, client }) => {
    begin(event, attempt)
    const trouble = way()
    if (trouble === 0) await hang(signal)
    if (trouble === 1) throw new Error('before')
    if (trouble === 2) await client!.query('select 1 / 0')
    await effect(event, client!)
    await work(signal)
    if (trouble === 3) throw new Error('after')
    if (trouble === 4)
      await client!.query('select 1 / 0').catch(() => {}) // and nobody notices it
    else done(event)
  }

  /** From now on this share of them fails, from 0 to 1. */
  const trouble = (failing: number) => {
    share = failing
  }
  return { plain, transactional, trouble }
}

const hang = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason))
  })
