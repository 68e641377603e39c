// @direct
// /metrics shows Prometheus the numbers of the store, in the format of Prometheus, whatever the names are.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect } from '../src/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { listening } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { ask } from './support/studio.ts'
import { until } from './support/until.ts'
import { pushes } from './support/ways.ts'

const meow = await openStore()
const studio = await startStudio(meow)
test.after(async () => {
  await studio.close()
  await closeAll()
})

type Labels = Record<string, string>
interface Metrics {
  types: Map<string, string>
  value(name: string, labels?: Labels): number | undefined
}

/** Reads the text format, version 0.0.4, and rejects anything else. */
function parse(text: string): Metrics {
  const types = new Map<string, string>()
  const samples = new Map<string, number>()
  const key = (name: string, labels: Labels) => `${name} ${JSON.stringify(Object.entries(labels).sort())}`
  assert.ok(text.endsWith('\n'))
  let helped = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)$/.exec(line)
    if (help) helped = help[1]!
    else if (type) {
      assert.is(type[1], helped)
      assert.not.ok(types.has(type[1]!), 'a family once')
      types.set(type[1]!, type[2]!)
    } else {
      const sample =
        /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\\\|\\"|\\n)*",?)*)\})? (-?[0-9.e+-]+)$/.exec(
          line,
        )
      assert.ok(sample, `no sample: ${line}`)
      assert.is(sample[1], helped, 'behind its own HELP')
      const labels: Labels = {}
      for (const [, name, value] of (sample[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
        labels[name!] = value!.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))
      const at = key(sample[1]!, labels)
      assert.not.ok(samples.has(at), `twice: ${line}`)
      samples.set(at, Number(sample[3]))
    }
  }
  return { types, value: (name, labels = {}) => samples.get(key(`meowmx_${name}`, labels)) }
}

const scrape = async () => {
  const { status, headers, body } = await ask(studio, '/metrics')
  assert.is(status, 200)
  assert.is(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  return parse(body)
}

/** Answers are cached for a while: these are the first that show it. */
async function fresh(known: (metrics: Metrics) => boolean, what: string): Promise<Metrics> {
  let metrics = await scrape()
  const look = async () => {
    metrics = await scrape()
    return known(metrics)
  }
  await until(look, { timeoutMs: 30_000, what })
  return metrics
}

test('of categories, subscriptions, the horizon and push, under hostile names', async () => {
  const category = `${uniqueName('metrics')} "quoted" \\ back\\nslash\nline {a="b"} 1 #`
  const { position } = await meow.append({ category, streamId: 'a' }, [
    { type: 'T', data: 1 },
    { type: 'T', data: 2 },
  ])
  const { events } = await meow.append({ category, streamId: 'b' }, { type: 'T', data: 3 })
  const last = events[0]!.position
  const name = `${uniqueName('metrics')} "\n\\`
  await createSubscription(name, { categories: [category], partitions: 2 })
  const idle = uniqueName('idle')
  await createSubscription(idle, { categories: [category] })
  const executor = await sqlExecutor(name)
  await executor.park(events[0]!, { partition: 0 })
  await executor.advance(position, 0)
  await listening(meow)

  const { types, value } = await fresh(
    ({ value }) => value('subscription_parked_events', { subscription: name }) === 1,
    'a scrape',
  )
  const [info] = (await meow.subscriptions()).filter((one) => one.name === name)
  const of = (name: string) => ({ subscription: name })
  assert.is(types.get('meowmx_events_total'), 'counter')
  assert.is(value('events_total', { category }), 3)
  assert.is(value('streams', { category }), 2)
  assert.is(value('last_position'), last)
  assert.is(value('horizon'), last)
  assert.is(value('subscription_lag_events', of(name)), info!.lag)
  assert.is(value('subscription_position', of(name)), info!.position)
  assert.is(value('subscription_partitions', of(name)), 2)
  assert.is(value('subscription_partitions_owned', of(name)), 2)
  assert.is(value('subscription_executors', of(name)), 1)
  const lease = Math.min(...info!.partitions.map(({ leaseUntil }) => leaseUntil!.getTime() / 1_000))
  assert.is(value('subscription_oldest_lease_timestamp_seconds', of(name)), lease)
  assert.is(value('subscription_lag_events', of(idle)), 3)
  assert.is(value('subscription_partitions_owned', of(idle)), 0)
  assert.is(value('subscription_executors', of(idle)), 0)
  assert.is(value('subscription_oldest_lease_timestamp_seconds', of(idle)), undefined)
  assert.is(value('listener_state', { state: pushes ? 'listening' : 'polling' }), 1)
  assert.is(value('listener_state', { state: 'closed' }), 0)
  assert.is(types.get('meowmx_listener_reconnects_total'), 'counter')
  assert.is(value('listener_reconnects_total'), 0)
  for (const question of ['categories', 'subscriptions', 'stallers', 'horizon'])
    assert.is(value('up', { question }), 1, question)
})

test('of an append that stays open', async () => {
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category: uniqueName('open'), streamId: 'a' }, { type: 'T', data: 1 }, { client })
  const { value } = await fresh(({ value }) => value('stallers')! > 0, 'the staller')
  const since = value('oldest_staller_timestamp_seconds')!
  assert.ok(Math.abs(since - Date.now() / 1_000) < 600, String(since))
  await client.query('rollback')
  await fresh(
    ({ value }) => value('stallers') === 0 && value('oldest_staller_timestamp_seconds') === undefined,
    'its end',
  )
})

test('of one’s own program, with the exports of the package', async () => {
  const [published, { startStudio }] = await Promise.all([import('meowmx'), import('meowmx/studio')])
  await using store = await published.connect({ connectionString: databaseUrl(), schema: storeSchema })
  await using served = await startStudio(store, { token: 'known-to-prometheus' })
  const { origin } = new URL(served.url)
  const page = await fetch(served.url)
  assert.is(page.status, 200)
  assert.match(await page.text(), '<!doctype html>')
  const scraped = await fetch(`${origin}/metrics`, {
    headers: { authorization: 'Bearer known-to-prometheus' },
  })
  assert.is(parse(await scraped.text()).value('up', { question: 'horizon' }), 1)
})

test('of a store that does not answer, also', async () => {
  const gone = await connect({ connectionString: databaseUrl(), schema: storeSchema, listen: false })
  const orphan = await startStudio(gone)
  await gone.close()
  const { value } = parse((await ask(orphan, '/metrics')).body)
  assert.is(value('up', { question: 'subscriptions' }), 0)
  assert.is(value('subscriptions'), undefined)
  assert.is(value('listener_state', { state: 'closed' }), 1)
  await orphan.close()
})

test.run()
