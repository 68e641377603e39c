// The server goes away and comes back: Observables, iterations and subscriptions continue where they were, without an error
// (I7). Polls are a minute apart.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { startProxy } from './support/proxy.ts'
import { current, listening } from './support/status.ts'
import { closeAll, databaseUrl, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'
import { pushes } from './support/ways.ts'

const events = (count: number) => Array(count).fill({ type: 'Happened', data: {} })

let direct: Meow
test.before(async () => {
  direct = await openStore()
})
test.after(closeAll)

for (const fault of ['cut', 'blackhole'] as const) {
  test(`${fault}, twice: every event arrives, once where nothing was handled in vain`, async () => {
    const proxy = await startProxy(databaseUrl())
    const far = await openStore({
      connectionString: proxy.url,
      queryTimeoutMs: 1_000,
      pollIntervalMs: 60_000,
    })
    await listening(far)
    const stream = { category: uniqueName('outage'), streamId: '1' }
    const { category } = stream
    await direct.append(stream, events(2_500))

    const seen = collect(far.events({ category }))
    const iterated: number[] = []
    const stop = new AbortController()
    const iteration = (async () => {
      for await (const { version } of far.iterate({ category }, { signal: stop.signal }))
        iterated.push(version)
    })()
    const handled: number[] = []
    const worker = far
      .subscription(uniqueName('outage'), { category, leaseMs: 60_000 })
      .process(({ version }) => handled.push(version))
    const deliveries = far.subscription(uniqueName('outage'), { category, leaseMs: 60_000, maxInFlight: 10 })
    const acked: number[] = []
    const acking = collect(deliveries.deliveries(), (delivery) => {
      delivery.ack().then(() => acked.push(delivery.event.version))
    })

    let total = 2_500
    for (const duringCatchUp of [true, false]) {
      if (!duringCatchUp) await until(() => acked.length === total, { what: 'them to catch up' })
      else await until(() => handled.length > 0, { what: 'the handler' })
      if (fault === 'cut') await proxy.cut()
      else proxy.blackhole()
      await direct.append(stream, events(700))
      total += 700
      // Long enough to be noticed by all.
      if (pushes) await until(() => current(far.status$).state === 'reconnecting', { what: 'the outage' })
      const refused = await far.read({ category }).catch((error) => error.code)
      assert.ok(['ERR_CONNECTION', 'ERR_TIMEOUT'].includes(refused), `read() during an outage: ${refused}`)
      await proxy.heal()
      for (const list of [seen.all, iterated, handled, acked])
        await until(() => list.length >= total, { what: `${total} events, has ${list.length}` })
      await listening(far)
    }
    for (const list of [seen.all.map(({ version }) => version), iterated, handled, acked])
      assert.equal(list, upTo(total))
    assert.equal([seen.error, acking.error], [undefined, undefined])
    stop.abort()
    await iteration
    await worker.stop()
    await far.close()
    await proxy.close()
  })
}

test.run()
