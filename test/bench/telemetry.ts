import { randomUUID } from 'node:crypto'
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { Meow } from 'meowmx'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'
import { data } from './setting.ts'
import { speedOf } from './statistics.ts'

const EVENTS = 20_000

/**
 * What telemetry costs this process, in CPU a call, against `telemetry: false`, which is as if it were not installed: with the
 * API but no SDK registered, and with an SDK that exports nowhere.
 */
export async function telemetry(setting: Setting): Promise<Sample[]> {
  const place = await setting.database()
  const measure = async (telemetry: boolean) => {
    const meow = await place.store({ telemetry })
    const append = await cpuOf(() => appended(meow, setting.seconds))
    const category = randomUUID()
    await fill(meow, category)
    const handle = await cpuOf(() => handled(meow, category))
    await meow.close()
    return { append, handle }
  }
  await measure(false) // warm
  const none = await measure(false)
  const unregistered = await measure(true)
  const stop = startSdk()
  const sdk = await measure(true)
  await stop()
  const sample = (what: string, ours: number, limit: number, goal?: number): Sample => ({
    what: `CPU a call: ${what}`,
    unit: 'µs',
    ours,
    limit,
    less: true,
    ...(goal ? { goal } : {}),
  })
  return [
    sample('append, 32 concurrent, API and no provider', unregistered.append, none.append, 1.05),
    sample('append, 32 concurrent, SDK', sdk.append, none.append),
    sample('handler of process(), API and no provider', unregistered.handle, none.handle, 1.05),
    sample('handler of process(), SDK', sdk.handle, none.handle),
  ]
}

/** The µs of CPU of each call, over this many calls. */
async function cpuOf(run: () => Promise<number>): Promise<number> {
  const before = process.cpuUsage()
  const calls = await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

async function appended(meow: Meow, seconds: number): Promise<number> {
  let calls = 0
  await speedOf({ clients: 32, seconds }, () => {
    calls++
    return meow.append({ category: 'order', streamId: randomUUID() }, { type: 'Evt', data })
  })
  return calls
}

async function fill(meow: Meow, category: string): Promise<void> {
  for (let n = 0; n < EVENTS; n += 1_000)
    await meow.append(
      { category, streamId: `${n}` },
      Array.from({ length: 1_000 }, () => ({ type: 'Evt', data })),
    )
}

async function handled(meow: Meow, category: string): Promise<number> {
  let seen = 0
  await new Promise<void>((resolve) => {
    const worker = meow.subscription(category, { category }).process(() => {
      if (++seen === EVENTS) setImmediate(() => worker.stop().then(resolve))
    })
  })
  return EVENTS
}

function startSdk(): () => Promise<unknown> {
  const nowhere = { export: (_: unknown, done: (result: { code: 0 }) => void) => done({ code: 0 }) }
  const end = { forceFlush: async () => {}, shutdown: async () => {} }
  const tracers = new BasicTracerProvider({
    spanProcessors: [new BatchSpanProcessor({ ...nowhere, ...end })],
  })
  const exporter = {
    ...nowhere,
    ...end,
    selectAggregationTemporality: () => AggregationTemporality.CUMULATIVE,
  }
  const meters = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] })
  trace.setGlobalTracerProvider(tracers)
  metrics.setGlobalMeterProvider(meters)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  return () => {
    for (const api of [trace, metrics, context]) api.disable()
    return Promise.all([tracers.shutdown(), meters.shutdown()])
  }
}
