import type { Committed, Evidence } from './checks/evidence.ts'
import { of, selects, stream } from './checks/evidence.ts'
import type { Fact, Line } from './facts.ts'

/** A defect, planted in the evidence of a run without one. */
export interface Defect {
  plant(evidence: Evidence): Evidence
  /** What the checker must say. */
  found: RegExp
}

const first = <T>(items: readonly T[], is: (item: T) => unknown, what: string): T => {
  const item = items.find(is)
  if (item === undefined) throw new Error(`the run has no ${what} to plant a defect in`)
  return item
}
const without = (evidence: Evidence, drop: (line: Line) => boolean): Evidence => ({
  ...evidence,
  lines: evidence.lines.filter((line) => !drop(line)),
})
const withLine = (evidence: Evidence, like: Line, fact: Fact): Evidence => ({
  ...evidence,
  lines: [...evidence.lines, { pid: like.pid, at: like.at, tick: like.tick, ...fact }],
})
const replaced = (evidence: Evidence, old: Line, line: object): Evidence => ({
  ...evidence,
  lines: evidence.lines.map((one) => (one === old ? ({ ...one, ...line } as Line) : one)),
})

/** Nobody parked it, and it has followers. */
const plainEvent = ({ events, parkedRows }: Evidence): Committed =>
  first(
    events,
    (event) =>
      event.category === 'a' &&
      event.version === 0 &&
      events.some((other) => stream(other) === stream(event) && other.version === 1) &&
      !parkedRows.some((row) => stream(row) === stream(event)),
    'event',
  )
const never = '00000000-0000-4000-8000-000000000000'

export const defects: Readonly<Record<string, Defect>> = {
  'a lost event': {
    plant: (evidence) => {
      const { id } = plainEvent(evidence)
      return without(
        evidence,
        (line) => line.kind === 'done' && line.subscription === 'plain' && line.id === id,
      )
    },
    found: /delivered: plain never handled/,
  },
  'an event that was rolled back, and delivered': {
    plant: (evidence) => {
      const like = first(of(evidence.lines, 'begun'), () => true, 'delivery')
      return withLine(evidence, like, { ...like, id: never })
    },
    found: /delivered: .* what is not committed/,
  },
  'a repeated event, after its ack was durable': {
    plant: (evidence) => {
      const { written, subscriptions } = evidence
      const event = plainEvent(evidence)
      const { partitions } = subscriptions.find(({ name }) => name === 'plain')!
      const own = written.filter(
        (write) => write.subscription === 'plain' && write.partition === event.hash % partitions,
      )
      const i = own.findIndex(
        ({ owner, position, epoch, at }, i) =>
          owner &&
          position >= event.position &&
          (own[i + 1]?.epoch ?? epoch) === epoch &&
          own[i + 1]?.at !== at,
      )
      const { owner, at } = own[i]!
      const repeated: Fact = { kind: 'begun', subscription: 'plain', id: event.id, position: event.position }
      const line = { pid: Number(owner!.split(':')[1]), at: at + 1_000, tick: Number.MAX_SAFE_INTEGER }
      return { ...evidence, lines: [...evidence.lines, { ...line, ...repeated }] }
    },
    found: /checkpoints: plain.*given again to its owner/,
  },
  'a reordered event': {
    plant: (evidence) => {
      const { id } = plainEvent(evidence)
      const lines = evidence.lines.map((line) =>
        line.kind === 'begun' && line.id === id ? { ...line, tick: Number.MAX_SAFE_INTEGER } : line,
      )
      return { ...evidence, lines }
    },
    found: /ordered: plain, out of order/,
  },
  'a version that is missing': {
    plant: (evidence) => ({
      ...evidence,
      events: evidence.events.filter((one) => one !== plainEvent(evidence)),
    }),
    found: /ordered: not dense/,
  },
  'an effect that came twice': {
    plant: (evidence) => ({ ...evidence, effects: [...evidence.effects, evidence.effects[0]!] }),
    found: /once: exact: an effect more than once/,
  },
  'an effect that never came': {
    plant: (evidence) => ({ ...evidence, effects: evidence.effects.slice(1) }),
    found: /delivered: exact never handled/,
  },
  'an effect of what was rolled back': {
    plant: (evidence) => ({
      ...evidence,
      effects: [...evidence.effects, { subscription: 'exact', id: never }],
    }),
    found: /once: exact: an effect of what is not committed/,
  },
  'a checkpoint that moved back': {
    plant: (evidence) => {
      const last = evidence.written.at(-1)!
      return { ...evidence, written: [...evidence.written, { ...last, position: last.position - 1 }] }
    },
    found: /checkpoints: .*moved back/,
  },
  'a checkpoint past what is not handled': {
    plant: (evidence) => {
      const { id } = plainEvent(evidence)
      const lines = evidence.lines.map((line) =>
        line.kind === 'done' && line.id === id ? { ...line, at: line.at + 3_600_000 } : line,
      )
      return { ...evidence, lines }
    },
    found: /checkpoints: .*is past what is not handled/,
  },
  'a checkpoint past the horizon': {
    plant: (evidence) => {
      const last = evidence.written.at(-1)!
      const position = evidence.events.at(-1)!.position + 1
      return { ...evidence, written: [...evidence.written, { ...last, position }] }
    },
    found: /checkpoints: .*is past the last event/,
  },
  'a page that reached past the horizon': {
    plant: (evidence) => {
      const page = first(
        of(evidence.lines, 'page'),
        ({ positions, full }) => !full && positions.length > 1,
        'page',
      )
      return replaced(evidence, page, {
        positions: page.positions.slice(0, -2).concat(page.positions.at(-1)!),
      })
    },
    found: /pages: a page .* lacks/,
  },
  'a horizon above the last event': {
    plant: (evidence) => {
      const page = first(of(evidence.lines, 'page'), () => true, 'page')
      return replaced(evidence, page, { horizon: evidence.events.at(-1)!.position + 1 })
    },
    found: /pages: .*is past the horizon/,
  },
  'an observer that missed an event': {
    plant: (evidence) => {
      const { observer, pid, position } = first(of(evidence.lines, 'seen'), () => true, 'observer')
      const missed = (line: Line) =>
        line.kind === 'seen' && line.observer === observer && line.pid === pid && line.position === position
      return without(evidence, missed)
    },
    found: /observers: .*did not see/,
  },
  'an observer that saw an event twice': {
    plant: (evidence) => {
      const seen = of(evidence.lines, 'seen').at(-1)!
      return withLine(evidence, seen, seen)
    },
    found: /observers: .*saw \d+ after \d+/,
  },
  'an observer that ended': {
    plant: (evidence) => {
      const { observer, ...like } = first(of(evidence.lines, 'observing'), () => true, 'observer')
      return withLine(evidence, like as Line, { kind: 'observed', observer, error: 'Error: gone' })
    },
    found: /observers: .*ended: Error: gone/,
  },
  'an append that is there, and was said to be refused': {
    plant: (evidence) => {
      const ids = new Set(evidence.events.map(({ id }) => id))
      const tried = first(of(evidence.lines, 'try'), (one) => one.ids.some((id) => ids.has(id)), 'append')
      return withLine(evidence, tried, { kind: 'told', n: tried.n, outcome: 'refused' })
    },
    found: /answers: .*was told "refused"/,
  },
  'half an append': {
    plant: (evidence) => {
      const done = new Set(
        of(evidence.lines, 'told')
          .filter((one) => one.outcome === 'done')
          .map(({ pid, n }) => `${pid} ${n}`),
      )
      const tried = first(of(evidence.lines, 'try'), (one) => done.has(`${one.pid} ${one.n}`), 'append')
      return replaced(evidence, tried, { ids: [...tried.ids, never] })
    },
    found: /answers: .*was told "done", and \d+ of its \d+ events/,
  },
  'half a transaction': {
    plant: (evidence) => {
      const ids = new Set(evidence.events.map(({ id }) => id))
      const tried = first(
        of(evidence.lines, 'try'),
        (one) => one.transaction && ids.has(one.ids[0]!),
        'transaction',
      )
      return withLine(evidence, tried, { ...tried, n: 1e9, ids: [never] })
    },
    found: /answers: transaction .*: only \d+ of its \d+ appends/,
  },
  'an answer with another version': {
    plant: (evidence) => {
      const answer = first(of(evidence.lines, 'answer'), ({ events }) => events.length > 0, 'answer')
      const [[id, version, position]] = answer.events as [readonly [string, number, number]]
      return replaced(evidence, answer, { events: [[id, version + 1, position]] })
    },
    found: /answers: .*was answered version/,
  },
  'a conflict that is none': {
    plant: (evidence) => {
      const event = plainEvent(evidence)
      const like = first(of(evidence.lines, 'try'), () => true, 'append')
      const conflict: Fact = { kind: 'conflict', n: 0, stream: stream(event), expected: 0, actual: 0 }
      return withLine(evidence, like, conflict)
    },
    found: /answers: a conflict that is none/,
  },
  'an event that nobody wrote': {
    plant: (evidence) => {
      const { id } = evidence.events.find((event) => selects(['a'], event))!
      const lines = evidence.lines.map((line) =>
        line.kind === 'try' ? { ...line, ids: line.ids.filter((one) => one !== id) } : line,
      )
      return { ...evidence, lines }
    },
    found: /answers: written by nobody/,
  },
  'an error that nobody foresaw': {
    plant: (evidence) => withLine(evidence, evidence.lines[0]!, { kind: 'broken', what: 'a worker ended' }),
    found: /broken: process \d+: a worker ended/,
  },
}
