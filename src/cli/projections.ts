// The commands for projections: `projections`, `activate`, `rebuild` and `drop`.
import type { Command } from 'commander'
import { now, sleep } from '../core/clock.ts'
import type { Meow } from '../meow.ts'
import type { ProjectionInfo } from '../projections/list.ts'
import type { Pace } from '../projections/pace.ts'
import { Pacer } from '../projections/pace.ts'
import { integer } from './arguments.ts'
import type { Context, Run } from './context.ts'
import { approximate, count } from './stderr.ts'

/** The time between two samples of the progress, in ms: for its speed, and for `--watch`. */
const SAMPLE_MS = 500
const WATCH_MS = 1_000

type Shown = ProjectionInfo & Pace

export function projections(program: Command, run: Run): void {
  program
    .command('projections')
    .description('list the versions of projections: which one is live, and how far the others are')
    .argument('[name]', 'only this projection; fails if it does not exist')
    .option('--watch', 'print it again each second, until all are complete')
    .action(
      run(async (context, name: string | undefined, { watch = false }: { watch?: boolean }) => {
        const meow = await context.open()
        const pacers = new Map<string, Pacer>()
        const read = async () => paced(await found(meow, name), pacers)
        let all = await read()
        if (all.length === 0)
          context.stderr.note('there are no projections: `meow.projection(…).start()` creates one')
        if (all.some(isBuilding)) {
          await sleep(SAMPLE_MS)
          all = await read()
        }
        await show(context, all)
        const { signal } = watch ? context : { signal: undefined }
        while (signal && !signal.aborted && all.some(isBuilding)) {
          await sleep(WATCH_MS, signal).catch(() => {})
          all = await read()
          await show(context, all)
        }
      }),
    )
}

export function activate(program: Command, run: Run): void {
  program
    .command('activate')
    .description(
      'make a version of a projection the live one, forward or back: all views are switched at once',
    )
    .argument('<projection>')
    .argument('<version>', 'the number of the version', integer(1))
    .option('--timeout-ms <ms>', 'how long to try, while long queries use the views', integer(1), 30_000)
    .action(
      run(async (context, name: string, version: number, { timeoutMs }: { timeoutMs: number }) => {
        const meow = await context.open()
        await meow.activateProjection(name, version, { timeoutMs })
        await context.out.say({ name, version }, `version ${version} of "${name}" is live`)
      }),
    )
}

export function rebuild(program: Command, run: Run): void {
  program
    .command('rebuild')
    .description(
      'build the live version of a projection once more beside itself, and switch over; processes that run it do the work',
    )
    .argument('<projection>')
    .action(
      run(async (context, name: string) => {
        const meow = await context.open()
        const { signal } = context
        const bar = context.stderr.progress(`rebuilding "${name}":`)
        const ended = new AbortController()
        const watching = follow(meow, name, ended.signal, (done, share) => bar.update(done, share))
        try {
          await meow.rebuildProjection(name, { signal })
        } finally {
          ended.abort()
          await watching
          bar.end()
        }
        await context.out.say({ name }, `"${name}" is rebuilt`)
      }),
    )
}

// `drop` alone would not tell what; the command is for projections only, as their versions are the only thing that is dropped.
export function dropVersion(program: Command, run: Run): void {
  program
    .command('drop')
    .description(
      'drop a version of a projection that is not live, with its tables; its processes end with an error',
    )
    .argument('<projection>')
    .argument('<version>', 'the number of the version', integer(1))
    .action(
      run(async (context, name: string, version: number) => {
        const meow = await context.open()
        await meow.dropProjection(name, version)
        await context.out.say({ name, version }, `version ${version} of "${name}" is dropped`)
      }),
    )
}

async function found(meow: Meow, name: string | undefined): Promise<ProjectionInfo[]> {
  const all = (await meow.projections()).filter((one) => name === undefined || one.name === name)
  if (name !== undefined && all.length === 0) {
    const { ProjectionNotFoundError } = await import('../projections/errors.ts')
    throw new ProjectionNotFoundError(name, `there is no projection "${name}"`)
  }
  return all
}

/** Adds to each version how fast it is, from the samples so far. */
function paced(all: readonly ProjectionInfo[], pacers: Map<string, Pacer>): Shown[] {
  return all.map((info) => {
    const key = `${info.generation} ${info.version} ${info.name}`
    const pacer = pacers.get(key) ?? new Pacer()
    pacers.set(key, pacer)
    return { ...info, ...pacer.add(info, now()) }
  })
}

const isBuilding = ({ state }: ProjectionInfo): boolean => state === 'building'

/** The part that is done, from 0 to 1. */
const share = ({ position, horizon, lag }: ProjectionInfo): number =>
  lag === 0 ? 1 : horizon > 0 ? Math.min(position / horizon, 0.999) : 0

async function show(context: Context, all: readonly Shown[]): Promise<void> {
  await context.out.table(all, {
    name: ({ name }) => name,
    version: ({ version, generation }) => (generation === 1 ? `${version}` : `${version} r${generation}`),
    state: ({ state }) => state,
    progress: (info) => `${bar(share(info))} ${Math.floor(share(info) * 100)}%`,
    lag: ({ lag, lagIsEstimate }) => approximate(lag, lagIsEstimate),
    'a second': ({ rate }) => count(Math.round(rate)),
    left: ({ etaMs, lag }) => (lag === 0 ? '-' : etaMs === null ? '?' : `${Math.ceil(etaMs / 1000)} s`),
    parked: ({ parkedStreams }) => count(parkedStreams),
    running: ({ isRunning }) => (isRunning ? 'yes' : 'no'),
    schema: ({ schema }) => schema,
  })
}

const bar = (share: number): string => '█'.repeat(Math.floor(share * 10)).padEnd(10, '░')

/** Prints the progress of a rebuild until the signal aborts. */
async function follow(
  meow: Meow,
  name: string,
  signal: AbortSignal,
  update: (done: number, share: number) => void,
): Promise<void> {
  while (!signal.aborted) {
    const own = (await meow.projections().catch(() => []))
      .filter((one) => one.name === name && isBuilding(one))
      .at(-1)
    if (own) update(own.position, share(own))
    await sleep(SAMPLE_MS, signal).catch(() => {})
  }
}
