import fc from 'fast-check'
import { readSeen } from '../../src/append/seen.ts'
import type { Row } from '../../src/database/bounded-rows.ts'
import type { query } from '../../src/read/query.ts'
import type { QueryBatcher } from '../../src/read/query-batcher.ts'
import type { RecentHorizon } from '../../src/read/recent-horizon.ts'
import { Broken } from './checks.ts'
import type { Transaction } from './database.ts'
import { SimulatedDatabase } from './database.ts'
import type { Task } from './machine.ts'
import { Machine } from './machine.ts'
import { Timers } from './timers.ts'

/** What is under test: that of src/, or of a copy with a planted defect. */
export interface ConditionsEngine {
  query: typeof query
  QueryBatcher: typeof QueryBatcher
  RecentHorizon: typeof RecentHorizon
}

/** For defects of what is SQL in reality: test/conditions/defects.ts plants the same in PostgreSQL. */
export interface ConditionFlaws {
  /** No locks. */
  unlocked?: boolean
  /** What was seen is taken for all up to its highest position. */
  highest?: boolean
  /** Appends without a condition lock after they have taken a position. */
  late?: boolean
  /** The check sees what was there before the lock. */
  early?: boolean
}

/** What a conditional append has seen of a tag. */
interface Condition {
  readonly tag: string
  readonly saw: readonly number[]
  readonly horizon: number
  readonly positions: readonly number[]
}

/** An append on the server: it goes through these steps, between which anything may happen. */
interface Append {
  readonly name: string
  readonly tags: readonly string[]
  readonly condition?: Condition
  steps: ('lock' | 'check' | 'announce' | 'position' | 'end')[]
  holds: boolean
  transaction?: Transaction
}

const KEY = Buffer.from('a key')
const TAGS = ['x', 'y'] as const
/** A query with more events than this is not answered in a batch. */
const MOST = 3
/** Tags by position. */
type Tags = Map<number, readonly string[]>

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * One run: machines query by a tag, over a simulated network, clock and database, and append under the condition that nothing new has it,
 * among appends without a condition and without tags. In the end each condition must have held at its position: no event below has the
 * tag but those that the query had returned.
 */
export async function simulateConditions(
  { query, QueryBatcher, RecentHorizon }: ConditionsEngine,
  choices: readonly number[],
  flaws: ConditionFlaws = {},
): Promise<{ held: number; refused: number }> {
  const timers = new Timers()
  const tasks: Task[] = []
  const trace: string[] = []
  const say = (what: string) => trace.push(what)
  const database = new SimulatedDatabase(1, () => timers.now, {
    notify() {},
    committed() {},
    checkpoint() {},
    granted() {},
    refused() {},
    parked() {},
  })
  const tags: Tags = new Map()
  const conditions = new Map<number, Condition & { name: string }>()
  const appends: Append[] = []
  let [names, refused] = [0, 0]

  const matching = (tag: string) =>
    database.events.filter(({ position }) => tags.get(position)?.includes(tag))
  const row = (position: number): Row => [
    ...[position, '0', `${position}`, '0', 'a', `${position}`, 'T', 'null'].map(String),
    '{}',
  ]
  const nothing: Row = [null, null, null, null, null, null, null, null, null]
  const eventsOf = (asked: { tags: string[] }[]) => asked.flatMap((item) => matching(item.tags[0]!))
  const execute = (name: string, values: any): Row[] | undefined => {
    if (name === 'seen_key') return [[KEY.toString('hex')]]
    if (name === 'query_pages')
      return JSON.parse(values.queries).flatMap((asked: { tags: string[] }[], i: number) => {
        const events = eventsOf(asked)
        if (events.length > MOST) return [[`${i + 1}`, 'f', ...nothing]]
        const rows = events.length > 0 ? events.map(({ position }) => row(position)) : [nothing]
        return rows.map((one) => [`${i + 1}`, 't', ...one])
      })
    if (name !== 'query_page') return undefined
    const found = eventsOf(JSON.parse(values.query)).filter(({ position }) => position > values.after)
    const horizon = values.known ?? Math.min(...database.horizons(null).map(([, at]) => Number(at)))
    return (found.length > 0 ? found.map(({ position }) => row(position)) : [nothing]).map((one) => [
      String(horizon),
      ...one,
    ])
  }
  const world = { database, timers, tasks, random: () => 0.5, execute }
  const machines = ['m0', 'm1'].map((name) => {
    const { queries } = new Machine(name, world, { pollIntervalMs: 1_000, listen: false, skew: 0 })
    const ports = {
      seenKey: async () => KEY,
      horizon: new RecentHorizon(queries),
      batcher: new QueryBatcher(queries),
    }
    return { queries, ports }
  })

  const add = (ofTags: readonly string[], condition?: Condition) => {
    const steps: Append['steps'] = ['lock', 'check', 'announce', 'position', 'end']
    if (flaws.late && !condition) steps.splice(0, 4, 'announce', 'position', 'lock')
    if (flaws.early) steps.splice(0, 2, 'check', 'lock')
    appends.push({
      name: `${condition ? 'booking' : 'append'} ${names++}`,
      tags: ofTags,
      ...(condition ? { condition } : {}),
      steps,
      holds: false,
    })
  }
  /** Queries, and then appends under the condition that it has seen all. */
  const book = (n: number) => {
    const { queries, ports } = machines[n % 2]!
    const tag = TAGS[(n >> 1) % 2]!
    const name = `query ${names++} by ${tag}`
    say(name)
    const asked = query(queries, ports, { tags: [tag] })
    asked.then(
      ({ events, seen }) => {
        const { horizon, positions } = readSeen(KEY, seen, 'seen')
        const saw = events.map(({ position }) => position)
        say(`${name} saw ${saw}, horizon ${horizon}`)
        add(n & 4 ? TAGS : [tag], { tag, saw, horizon, positions })
      },
      () => say(`${name} is lost`),
    )
  }
  const wants = ({ tags, condition }: Append, tag: string) => tags.includes(tag) || condition?.tag === tag
  const mustWait = (one: Append) =>
    appends.some(
      (other) =>
        other !== one &&
        other.holds &&
        TAGS.some(
          (tag) =>
            wants(one, tag) &&
            wants(other, tag) &&
            (one.condition?.tag === tag || other.condition?.tag === tag),
        ),
    )
  const unseen = ({ tag, horizon, positions }: Condition) => {
    const from = flaws.highest ? Math.max(horizon, ...positions) : horizon
    return matching(tag).some(({ position }) => position > from && !positions.includes(position))
  }
  const leave = (one: Append) => appends.splice(appends.indexOf(one), 1)
  /** The next step of an append; false: it has to wait. */
  const step = (one: Append, rollsBack: boolean): boolean => {
    const [next] = one.steps
    if (next === 'lock' && !flaws.unlocked && mustWait(one)) return false
    one.steps.shift()
    say(`${one.name}: ${next}`)
    if (next === 'lock') one.holds = !flaws.unlocked
    else if (next === 'check' && one.condition && unseen(one.condition)) {
      refused++
      leave(one)
    } else if (next === 'announce') one.transaction = database.begin('a', one.name)!
    else if (next === 'position') {
      database.append(one.transaction!)
      const { position } = one.transaction!.rows[0]!
      tags.set(position, one.tags)
      say(`${one.name} has position ${position}`)
    } else if (next === 'end') {
      const { position } = one.transaction!.rows[0]!
      database.end(one.transaction!, rollsBack ? 'rollback' : 'commit')
      if (!rollsBack && one.condition) conditions.set(position, { ...one.condition, name: one.name })
      leave(one)
    }
    return true
  }
  const happen = (n: number): boolean => {
    const task = tasks[n % tasks.length]
    if (!task) return false
    tasks.splice(tasks.indexOf(task), 1)
    if (task.fail && n % 64 === 63) task.fail()
    else task.happen(0)
    return true
  }

  for (const choice of choices) {
    const n = choice >> 3
    const kind = choice & 7
    if (kind === 0 && appends.length < 6) book(n)
    else if (kind === 1 && appends.length < 6) add(n & 3 ? [TAGS[n % 2]!] : [])
    else if (kind <= 4) happen(n)
    else if (appends.length > 0) {
      // Mostly it goes on until all that is left is to commit.
      const one = appends[(n >> 6) % appends.length]!
      const goesOn = () => n % 4 !== 0 && appends.includes(one) && one.steps[0] !== 'end'
      while (step(one, n % 16 === 15) && goesOn()) await settled()
    }
    // The horizon that queries use gets old.
    if (n % 32 === 31) timers.now += 60
    await settled()
  }
  for (let steps = 0; tasks.length + appends.length > 0; steps++) {
    if (steps > 10_000) throw new Broken(`appends wait for ever:\n  ${trace.slice(-40).join('\n  ')}`)
    happen(0)
    for (const one of [...appends]) step(one, false)
    await settled()
  }
  for (const [at, { tag, saw, name }] of conditions) {
    const missed = matching(tag).find(({ position }) => position < at && !saw.includes(position))
    if (missed)
      throw new Broken(
        `I9: ${name} at position ${at} had not seen ${missed.position}, which has tag ${tag}\n  ${trace.join('\n  ')}`,
      )
  }
  return { held: conditions.size, refused }
}

/** Runs this many schedules of a seed. Throws the shortest schedule that breaks the rule, and how to run it again. */
export async function exploreConditions(
  engine: ConditionsEngine,
  runs: number,
  {
    flaws = {},
    seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31)),
    shrink = true,
  }: { flaws?: ConditionFlaws; seed?: number; shrink?: boolean } = {},
): Promise<{ held: number; refused: number }> {
  const total = { held: 0, refused: 0 }
  const choices = fc.noBias(fc.array(fc.nat({ max: 0xffff }), { maxLength: 120, size: 'max' }))
  const property = fc.asyncProperty(choices, async (chosen) => {
    const { held, refused } = await simulateConditions(engine, chosen, flaws)
    total.held += held
    total.refused += refused
  })
  const details = await fc.check(property, { numRuns: runs, seed, endOnFailure: !shrink })
  if (!details.failed) return total
  throw new Error(
    `after ${details.numRuns} schedules, SEED=${details.seed}:\n${details.errorInstance}\n${JSON.stringify(details.counterexample)}`,
  )
}
