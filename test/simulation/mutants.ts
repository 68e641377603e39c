import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { CoalescingEngine } from './coalescing.ts'
import type { Flaws } from './database.ts'
import type { RingingEngine, RingingFlaws } from './ringing.ts'
import type { Engine } from './simulate.ts'

/** A defect: one text of src/ or sql/ replaced by another. */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
  /** For a defect of SQL: the same defect in the simulated database. */
  readonly flaws?: Flaws
  /** One of our own, more hidden than those of FAULTS.md. */
  readonly hidden?: true
  /** The kind of schedules that find it soon; default: those of the test. */
  readonly seed?: number
}

/** The defects that a simulation has to find, and a few that are harder to find. */
export const mutants: readonly Mutant[] = [
  {
    name: 'no horizon',
    file: 'src/read/horizon.ts',
    from: 'return [EVERY, ...keys].reduce((least, key) => Math.min(least, limits.get(key) ?? least), this.#free)',
    to: 'return this.#free',
  },
  {
    name: 'horizon and read in one snapshot',
    file: 'src/read/horizon.ts',
    from: 'const [horizons, more] = await runTogether(client, [horizon, page, check])',
    to: 'const [more, horizons] = await runTogether(client, [page, horizon, check])',
  },
  {
    name: 'catch-up before LISTEN',
    file: 'src/notify/listen-connection.ts',
    from: 'this.#listens.then(() => store.onNotification(channel, null))',
    to: '',
    seed: 7,
  },
  {
    name: 'ack before the handler',
    file: 'src/subscriptions/handler-worker.ts',
    from: 'const result = invoke(',
    to: 'delivery.done()\n      const result = invoke(',
  },
  {
    name: 'unfenced ack',
    file: 'sql/functions/advance.sql',
    from: `where c.subscription = _subscription and c.partition = n.partition and c.epoch = n.epoch and c.owner is not null
    returning c.partition
  )
  select coalesce(array_agg(partition), '{}') into _ours from moved;`,
    to: `where c.subscription = _subscription and c.partition = n.partition
    returning c.partition
  )
  select coalesce(array_agg(partition), '{}') into _ours from moved;`,
    flaws: { unfenced: true },
  },
  {
    name: 'an executor says that it begins nothing more before it knows of the pause',
    file: 'src/subscriptions/claims.ts',
    from: '          this.#paused,',
    to: '          true,',
    seed: 4,
  },
  {
    name: 'no poll',
    file: 'src/live/live.ts',
    from: 'this.#db.clock.every(this.#db.settings.pollIntervalMs, () => this.#wakeAll())',
    to: '() => {}',
  },
  {
    name: '`connected` ignored',
    file: 'src/notify/listen-connection.ts',
    from: 'for (const channel of this.#channels.keys()) this.#notify(channel, null)',
    to: '',
  },
  {
    name: 'failures in an outage count as attempts',
    file: 'src/subscriptions/outage.ts',
    from: 'return this.#waiting.size === 1',
    to: 'return true',
  },
  {
    name: 'a lone poison event is never parked',
    file: 'src/subscriptions/outage.ts',
    from: 'if (this.#failed.size < this.#options.streams) return true',
    to: 'if (this.#failed.size < this.#options.streams) return false',
  },
  {
    name: 'an outage never ends',
    file: 'src/subscriptions/outage.ts',
    from: `    this.#waiting.clear()
    this.#end('handlers succeed again')`,
    to: '    this.#waiting.clear()',
  },
  {
    name: 'what the server refuses ends an executor',
    file: 'src/database/failures.ts',
    from: 'isSchemaHidden(error) || !hasState(error, ...PERMANENT)',
    to: 'false',
  },
  {
    name: 'a batch is acked in part, although its handler failed',
    file: 'src/subscriptions/batches.ts',
    from: 'if (first.signal.aborted) for (const delivery of begun) delivery.nack({ error })',
    to: 'if (begun.length > 1) first.done()\n      if (first.signal.aborted) for (const delivery of begun) delivery.nack({ error })',
  },
  {
    name: 'a batch that is handled is acked in part',
    file: 'src/subscriptions/batches.ts',
    from: 'for (const delivery of begun) delivery.done()',
    to: 'for (const delivery of begun.slice(0, 2)) delivery.done()',
  },
  {
    name: 'an event is lost by a split',
    file: 'src/subscriptions/batches.ts',
    from: 'batch.slice(middle)]',
    to: 'batch.slice(middle + 1)]',
  },
  {
    name: 'what is left of a split is lost when an outage begins',
    hidden: true,
    file: 'src/subscriptions/batches.ts',
    from: '? half : await handle(half)',
    to: '? [] : await handle(half)',
  },
  {
    name: 'a park takes along the other streams of its batch',
    file: 'src/subscriptions/batches.ts',
    from: 'else if (begun.length === 1) await this.handlerFailed(first, error)',
    to: 'else if (begun.length <= 2) for (const delivery of begun) await delivery.park(error)',
  },
  {
    name: 'in an outage partitions with batches do not take turns',
    hidden: true,
    file: 'src/subscriptions/serial-worker.ts',
    from: '(!this.outage.failing || isNext())',
    to: 'true',
    seed: 3,
  },
  {
    name: 'the checkpoint passes what is queued',
    hidden: true,
    file: 'src/subscriptions/ack-window.ts',
    from: "entry?.state === 'acked'; entry = this.#entries.first",
    to: "entry && entry.state !== 'out'; entry = this.#entries.first",
  },
  {
    name: 'a failed event does not hold up its stream',
    hidden: true,
    file: 'src/subscriptions/partition.ts',
    from: '      queue = waiting.get(key)?.entries\n',
    to: '',
  },
  {
    name: 'a partition is taken where its last owner began, not where it ended',
    hidden: true,
    file: 'src/subscriptions/hand-over.ts',
    from: 'position: partition.window.watermark',
    to: 'position: partition.window.passed',
  },
  {
    name: 'what a stop gives up counts as handled',
    hidden: true,
    file: 'src/subscriptions/ack-window.ts',
    from: "if (entry.state === 'out' || entry.state === 'queued') this.#wait(entry)",
    to: "if (entry.state === 'out' || entry.state === 'queued') this.ack(entry)",
  },
  {
    name: 'a replay ends below what was passed over',
    hidden: true,
    file: 'src/subscriptions/replay.ts',
    from: 'if (parked.skipped <= until && !(parked.discarded && parked.position > until)) break',
    to: 'break',
  },
]

/** Defects of notification coalescing. */
export const coalescingMutants: readonly Mutant[] = [
  {
    name: 'the publisher publishes once at the end',
    file: 'src/notify/coalescing/publishing.ts',
    from: 'published.held && published.settled < until;',
    to: 'false;',
  },
  {
    name: 'the horizon is read after the lease is taken',
    file: 'sql/functions/publish.sql',
    from: '_all   bigint := least(free, bounds[array_position(keys, -1)]);',
    to: '_all   bigint := least(case when head = 0 then horizon() else free end, bounds[array_position(keys, -1)]);',
    flaws: { late: true },
  },
  {
    name: 'every category is notified by the horizon of the store',
    file: 'sql/functions/publish.sql',
    from: 'and e.position <= least(_every, now.bound)',
    to: 'and e.position <= least(_every, _bounds[array_position(_keys, _store)])',
    flaws: { together: true },
  },
  {
    name: 'a publisher that dies takes along from where to publish',
    file: 'sql/functions/claim_publishing.sql',
    from: 'published = case when p.closed then _horizon else least(p.published, _horizon) end',
    to: 'published = _horizon',
    flaws: { forgetful: true },
  },
  {
    name: 'a process that lost the lease can still turn coalescing on',
    hidden: true,
    file: 'sql/functions/renew_publishing.sql',
    from: `  if not found then
    return false;
  end if;
  _void := setval`,
    to: '  _void := setval',
    flaws: { usurped: true },
  },
  {
    name: 'appends leave notifications out before the lease can be seen',
    file: 'sql/functions/claim_publishing.sql',
    from: 'until = excluded.until, closed = false,',
    to: `until = setval('coalescing_until', excluded.until),`,
    flaws: { hasty: true },
  },
  {
    name: 'an expired lease is not claimed',
    file: 'src/notify/coalescing/coalescer.ts',
    from: '    } else if (state.leftMs > 0) {',
    to: '    } else {',
  },
  {
    name: 'the lease is closed as soon as appends notify again',
    hidden: true,
    file: 'src/notify/coalescing/publishing.ts',
    from: '  let published = await lease.publish(first)\n  const until = published.head',
    to: '  await lease.close(owner)\n  let published = await lease.publish(first)\n  const until = published.head',
  },
]

/** A defect of what fires timers. */
interface RingingMutant extends Pick<Mutant, 'name' | 'file' | 'from' | 'to'> {
  readonly flaws?: RingingFlaws
}

const CLAIM = 'sql/functions/claim_timers.sql'
const SAVE = 'sql/functions/save_instances.sql'
const RUNNER = 'src/timers/runner.ts'

/** Those of timers and of the instances of process managers. */
export const ringingMutants: readonly RingingMutant[] = [
  {
    name: 'fired twice: a claim locks nothing',
    file: CLAIM,
    from: 'order by t.next_at, t.key limit _limit for update skip locked',
    to: 'order by t.next_at, t.key limit _limit',
    flaws: { unlocked: true },
  },
  {
    name: 'fired early: a claim takes what is due soon',
    file: CLAIM,
    from: 't.next_at <= clock_timestamp()',
    to: `t.next_at <= clock_timestamp() + interval '100 ms'`,
    flaws: { early: true },
  },
  {
    name: 'lost at a takeover: what is claimed is deleted, whatever becomes of the transaction',
    file: 'src/timers/timers.ts',
    from: 'claimed.splice(0, Infinity, ...(await this.#claim(client)))',
    to: `claimed.splice(0, Infinity, ...(await this.#claim(client)))
        await this.#settle(claimed.map(({ key }) => key), [])`,
    flaws: { forgetful: true },
  },
  {
    name: 'state without effects',
    file: 'src/processes/instances.ts',
    from: 'await this.#append(appender, client)',
    to: '',
    flaws: { stateFirst: true },
  },
  {
    name: 'effects without state',
    file: SAVE,
    from: `set state = coalesce(i.state, 'null'),`,
    to: 'set state = p.state,',
    flaws: { effectsFirst: true },
  },
  {
    name: 'a timer that is scheduled during a question is forgotten',
    file: RUNNER,
    from: `        this.#again = false
        this.#wakesAt = Infinity
        const { fired, nextMs, nextAt, soonest } = await retryForever(
          () => this.#turn(signal),
          policy,
          () => true,
        )
`,
    to: `        this.#wakesAt = Infinity
        const { fired, nextMs, nextAt, soonest } = await retryForever(
          () => this.#turn(signal),
          policy,
          () => true,
        )
        this.#again = false
`,
  },
  {
    name: 'a timer that is due earlier does not end the sleep',
    file: RUNNER,
    from: 'if (!(payload && Number(payload) >= this.#wakesAt)) this.look()',
    to: 'if (!(payload && Number(payload) >= 0)) this.look()',
  },
  {
    name: 'what was missed before LISTEN is not made up for',
    file: RUNNER,
    from: 'if (!(payload && Number(payload) >= this.#wakesAt)) this.look()',
    to: 'if (payload && Number(payload) < this.#wakesAt) this.look()',
  },
  {
    name: 'it goes on asking while nothing is due',
    file: RUNNER,
    from: 'this.#listener.listening || this.look()',
    to: 'this.look()',
  },
  {
    name: 'it does not look again after all were locked by others',
    file: RUNNER,
    from: 'else if (nextMs <= 0) await this.#sleep(pauseAfter(++busy, BUSY), signal)',
    to: 'else if (nextMs <= 0) await this.#sleep(120_000, signal)',
  },
  {
    name: 'after a sleep it does not ask either if others have locked what is due',
    file: RUNNER,
    from: 'if (early > 0) continue',
    to: 'if (expected.includes(source)) continue',
  },
]

const root = new URL('../../', import.meta.url).pathname

/** A copy of src/ and sql/ with the defect, where imports of packages work; returns its folder. */
export async function plant({
  name,
  file,
  from,
  to,
}: Pick<Mutant, 'name' | 'file' | 'from' | 'to'>): Promise<string> {
  const folder = join(
    root,
    'node_modules',
    '.meowmx-mutants',
    `${process.pid}-${name.replaceAll(/\W+/g, '-')}`,
  )
  await mkdir(folder, { recursive: true })
  for (const part of ['src', 'sql', 'package.json'])
    await cp(join(root, part), join(folder, part), { recursive: true })
  const text = await readFile(join(folder, file), 'utf8')
  if (text.split(from).length !== 2) throw new Error(`${name}: its text is not there exactly once in ${file}`)
  await writeFile(
    join(folder, file),
    text.replace(from, () => to),
  )
  return folder
}

export async function uproot(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
}

export async function ringingEngineOf(folder: string): Promise<RingingEngine> {
  return import(pathToFileURL(join(folder, 'src/timers/runner.ts')).href)
}

export async function coalescingEngineOf(folder: string): Promise<CoalescingEngine> {
  return import(pathToFileURL(join(folder, 'src/notify/coalescing/coalescer.ts')).href)
}

/** The classes that a folder with src/ has. */
export async function engineOf(folder: string): Promise<Engine> {
  const load = (file: string) => import(pathToFileURL(join(folder, 'src', file)).href)
  const [{ ListenConnection }, { Live }, { Reader }, { Subscriptions }] = await Promise.all(
    ['notify/listen-connection.ts', 'live/live.ts', 'read/reader.ts', 'subscriptions/subscriptions.ts'].map(
      load,
    ),
  )
  return { ListenConnection, Live, Reader, Subscriptions }
}
