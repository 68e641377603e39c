// One call of `react`, and the check of what it returns.
import type { FailIf } from '../append/condition.ts'
import { checkShape } from '../append/condition.ts'
import type { Request } from '../append/request.ts'
import { encodeRequest } from '../append/request.ts'
import { MeowError, ValidationError } from '../core/errors.ts'
import { nameSchema } from '../core/fields.ts'
import { encodeJson } from '../core/json.ts'
import { isPromise } from '../core/kinds.ts'
import { parse } from '../core/validate.ts'
import type { RecordedEvent } from '../events/event.ts'
import { runCausedBy } from '../events/event-context.ts'
import { checkDue } from '../timers/timer.ts'
import type { Checked, TimerInput } from './define.ts'
import type { Effect } from './effects.ts'
import { effects as makers } from './effects.ts'

/** The event of the input, or the event that scheduled the timer. */
export type Cause = Pick<RecordedEvent, 'id' | 'metadata'>

/** An input of an instance. */
export interface Input {
  readonly input: RecordedEvent | TimerInput
  readonly cause: Cause
}

/** An append that an input makes. */
export interface EffectWrite {
  readonly request: Request
  /** The condition as it was given, and where. */
  readonly failIf?: { readonly given: FailIf | undefined; readonly path: string }
}

/** What an input does. */
export interface Reaction {
  /** The new state, as JSON. */
  readonly state: string
  readonly writes: readonly EffectWrite[]
  /** Of each timer that changes: when it is due in ms since 1970; null: it is cancelled. */
  readonly timers: ReadonlyMap<string, number | null>
  readonly ended: boolean
  /** The effects, as they were returned. */
  readonly effects: readonly Effect[]
}

const KEYS: Readonly<Record<string, readonly string[]>> = {
  append: ['type', 'stream', 'events', 'expectedVersion', 'failIf'],
  schedule: ['type', 'name', 'due'],
  cancel: ['type', 'name'],
  end: ['type'],
}

/** The instance to which an event belongs. */
export function correlate({ definition, name }: Checked, event: RecordedEvent): string | null {
  const id: unknown = definition.correlate(event)
  if (id === null || id === undefined) return null
  return parse(nameSchema, id, `${name}.correlate()`) as string
}

/** The state of an instance as `react` gets it. */
export function stateOf({ definition, name, version }: Checked, state: string, stored: number): unknown {
  const parsed = JSON.parse(state)
  if (stored === version) return parsed
  if (stored > version)
    throw new MeowError(
      'ERR_PROCESS_VERSION',
      `an instance of process manager "${name}" has a state of version ${stored}, and this process knows version ${version}: it is older; update it`,
    )
  if (!definition.migrate)
    throw new MeowError(
      'ERR_PROCESS_VERSION',
      `an instance of process manager "${name}" has a state of version ${stored}, and it needs version ${version}: define migrate(old, version)`,
    )
  return definition.migrate(parsed, stored)
}

/** Calls `react`. */
export function react(
  { definition, name, timers }: Checked,
  state: unknown,
  { input, cause }: Input,
  { id, now }: { id: string; now: number },
): Reaction {
  const path = `${name}.react()`
  const tools = { id, now: new Date(now), ...makers }
  return runCausedBy(cause, () => {
    const result: unknown = definition.react(state, input as any, tools)
    if (isPromise(result)) {
      Promise.resolve(result).catch(() => {})
      throw new ValidationError(path, 'must not return a promise: it must be pure', '[a promise]')
    }
    if (typeof result !== 'object' || result === null)
      throw new ValidationError(path, 'must return { state, effects }', result)
    const stranger = Object.keys(result).find((key) => key !== 'state' && key !== 'effects')
    if (stranger)
      throw new ValidationError(`${path}.${stranger}`, 'is no part of a reaction', (result as any)[stranger])
    const { state: next, effects = [] } = result as { state: unknown; effects?: unknown }
    const json = encodeJson(next, `${path}.state`)
    if (!Array.isArray(effects)) throw new ValidationError(`${path}.effects`, 'must be an array', effects)
    const writes: EffectWrite[] = []
    const changes = new Map<string, number | null>()
    let ended = false
    effects.forEach((effect: Effect, i) => {
      const at = `${path}.effects[${i}]`
      const keys = typeof effect === 'object' && effect !== null ? KEYS[effect.type] : undefined
      if (!keys) throw new ValidationError(at, 'must be made by append, schedule, cancel or end', effect)
      const unknown = Object.keys(effect).find((key) => !keys.includes(key))
      if (unknown)
        throw new ValidationError(`${at}.${unknown}`, 'is no part of this effect', (effect as any)[unknown])
      if (effect.type === 'append') {
        const expected = 'expectedVersion' in effect ? effect.expectedVersion : 'any'
        const request = encodeRequest(effect.stream, effect.events as any, expected, `${at}.`)
        if (request.events.length === 0) throw new ValidationError(`${at}.events`, 'must not be empty', [])
        const failIf = 'failIf' in effect ? { given: effect.failIf, path: `${at}.failIf` } : undefined
        if (failIf) checkShape(failIf.given, failIf.path)
        writes.push({ request, ...(failIf ? { failIf } : {}) })
      } else if (effect.type !== 'end') {
        const timer = parse(nameSchema, effect.name, `${at}.name`) as string
        if (timers && !timers.includes(timer))
          throw new ValidationError(`${at}.name`, `must be one of timers (${timers.join(', ')})`, timer)
        changes.set(timer, effect.type === 'cancel' ? null : dueAt(effect.due, now, `${at}.due`))
      } else ended = true
    })
    return { state: json, writes, timers: changes, ended, effects }
  })
}

function dueAt(due: unknown, now: number, path: string): number {
  const checked = checkDue(due, path)
  return 'at' in checked ? checked.at.getTime() : now + checked.inMs
}
