// A process manager and timers whose rules can be checked in the store afterwards: each timer came once and not early, and state,
// effects and timers of an instance belong together.
import type { Meow, ProcessManager } from '../../src/index.ts'
import { until } from './until.ts'
import { upTo } from './up-to.ts'

/** An instance rings this often, and then ends. */
const RINGS = 3

export interface Run {
  /** The prefix of its categories, and the name of its process manager. */
  readonly name: string
  /** How many instances, and how many timers. */
  readonly count: number
  /** Within how many ms timers are due. */
  readonly spreadMs: number
}

/** Rings three times: each time it appends to its stream, which is what its state counts. */
export function ringer({ name, spreadMs }: Run): ProcessManager<any, { rung: number }, any> {
  return {
    name,
    category: `${name}-start`,
    partitions: 2,
    correlate: ({ streamId }: { streamId: string }) => streamId,
    initial: { rung: 0 },
    keepEndedMs: 3_600_000,
    react: ({ rung }, input, { id, append, schedule, end }) => {
      const again = schedule('ring', { inMs: (Number(id) * 7919) % spreadMs })
      if (input.name === undefined) return { state: { rung }, effects: [again] }
      const rang = { type: 'Rang', data: { due: (input.due as Date).toISOString(), rung } }
      const write = append({ category: `${name}-rang`, streamId: id }, rang)
      return { state: { rung: rung + 1 }, effects: rung + 1 === RINGS ? [write, end()] : [write, again] }
    },
  }
}

/** Starts all instances, and makes all timers. */
export async function begin(meow: Meow, { name, count, spreadMs }: Run): Promise<void> {
  for (let from = 0; from < count; from += 200)
    await Promise.all(
      upTo(Math.min(200, count - from)).map(async (n) => {
        const streamId = String(from + n)
        await meow.append({ category: `${name}-start`, streamId }, { type: 'Started', data: {} })
        const due = new Date(Date.now() + (((from + n) * 7919) % spreadMs)) // in the future, however slow the machine
        const events = { type: 'Came', data: { due: due.toISOString() } }
        await meow.schedule(`${name}-${streamId}`, due, {
          stream: { category: `${name}-timer`, streamId },
          events,
        })
      }),
    )
}

/** Whether nothing is left to do. */
export async function isDone(meow: Meow, { name, count }: Run): Promise<boolean> {
  const counts = await meow.categories()
  const of = (category: string) => counts.find((one) => one.category === category)?.events ?? 0
  return of(`${name}-rang`) >= count * RINGS && of(`${name}-timer`) >= count
}

/** What is wrong. It waits a little for what comes too often. */
export async function violations(meow: Meow, run: Run, timeoutMs = 60_000): Promise<string[]> {
  const { name, count } = run
  const found: string[] = []
  await until(() => isDone(meow, run), { what: 'all timers', timeoutMs }).catch(() =>
    found.push('lost: not everything came in time'),
  )
  await meow.schedule(
    `${name}-last`,
    { inMs: 60 },
    { stream: { category: `${name}-last`, streamId: 's' }, events: { type: 'Last', data: {} } },
  )
  await until(async () => (await meow.head({ category: `${name}-last`, streamId: 's' })) >= 0, {
    what: 'the last timer',
    timeoutMs,
  }).catch(() => found.push('lost: the last timer'))
  const seen = new Map<string, number[]>()
  for (const category of [`${name}-rang`, `${name}-timer`])
    for await (const { streamId, data, recordedAt } of meow.iterate({ category }, { live: false })) {
      if (recordedAt < new Date(data.due)) found.push(`early: ${category} ${streamId}`)
      const key = `${category}/${streamId}`
      seen.set(key, [...(seen.get(key) ?? []), data.rung ?? 0])
    }
  const instances = new Map(
    (await meow.processInstances(name, { limit: 100_000 })).map((instance) => [instance.id, instance]),
  )
  for (const n of upTo(count)) {
    const came = seen.get(`${name}-timer/${n}`)?.length ?? 0
    if (came !== 1) found.push(`${came > 1 ? 'twice' : 'lost'}: timer ${n} came ${came} times`)
    const rung = seen.get(`${name}-rang/${n}`) ?? []
    if (rung.length > RINGS || new Set(rung).size < rung.length)
      found.push(`twice: instance ${n} rang ${rung}`)
    if (rung.length < RINGS) found.push(`lost: instance ${n} rang ${rung}`)
    const instance = instances.get(String(n))
    if (instance?.state.rung !== rung.length)
      found.push(`torn: instance ${n} has the state ${instance?.state.rung} and rang ${rung.length} times`)
    if (instance && (!instance.ended || instance.timers.length > 0))
      found.push(`torn: instance ${n} has not ended`)
  }
  return found
}
