// The dashboard and the alert rules of examples/monitoring ask for metrics that exist, with labels that they have.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startStudio } from '../src/studio/index.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { ask } from './support/studio.ts'
import { until } from './support/until.ts'

const folder = resolve(import.meta.dirname, '../examples/monitoring')
const dashboard = JSON.parse(readFileSync(resolve(folder, 'dashboard.json'), 'utf8'))
const alerts = readFileSync(resolve(folder, 'alerts.yml'), 'utf8')
const meow = await openStore()
test.after(closeAll)

/** Each metric with the labels of its samples. */
async function exported(): Promise<Map<string, Set<string>>> {
  const name = uniqueName('monitoring')
  await meow.append({ category: name, streamId: 'a' }, { type: 'T', data: null })
  const subscription = meow.subscription(name, { category: name })
  const worker = subscription.process(
    () => {
      throw new Error('poison')
    },
    { retry: { maxAttempts: 1 }, outage: false },
  )
  await until(async () => (await meow.parked(name)).length === 1, { what: 'the parked stream' })
  const studio = await startStudio(meow, { port: 0 })
  try {
    const text = (await ask(studio, '/metrics')).body
    const metrics = new Map<string, Set<string>>()
    for (const [, metric, labels] of text.matchAll(/^(meowmx_\w+)(?:\{(.*)\})? /gm))
      metrics.set(metric!, new Set([...(labels ?? '').matchAll(/(\w+)="/g)].map(([, label]) => label!)))
    for (const [, metric] of text.matchAll(/^# TYPE (meowmx_\w+)/gm))
      if (!metrics.has(metric!)) metrics.set(metric!, new Set())
    return metrics
  } finally {
    await studio.close()
    await worker.stop()
  }
}

const metrics = await exported()
/** Without a blocking transaction this metric has no value. */
metrics.set('meowmx_oldest_staller_timestamp_seconds', new Set())

interface Asked {
  readonly where: string
  readonly expression: string
  readonly text: string
}

const panels: Asked[] = dashboard.panels.flatMap((panel: any) =>
  panel.targets.map(({ expr, legendFormat }: any) => ({
    where: `panel "${panel.title}"`,
    expression: expr,
    text: legendFormat,
  })),
)
const rules: Asked[] = [...alerts.matchAll(/alert: (\w+)\n\s+expr: (.*)\n(?:.*\n)*?\s+summary: (.*)/g)].map(
  ([, name, expression, text]) => ({ where: `alert ${name}`, expression: expression!, text: text! }),
)

for (const { where, expression, text } of [...panels, ...rules])
  test(`${where} asks for what is exported`, () => {
    const names = expression.match(/meowmx_\w+/g) ?? []
    assert.ok(names.length > 0, expression)
    for (const name of names) {
      assert.ok(metrics.has(name), `${name} is not exported: ${[...metrics.keys()].join(' ')}`)
      const labels = [...text.matchAll(/\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}/g)].map(([, label]) => label!)
      for (const label of labels) assert.ok(metrics.get(name)!.has(label), `${name} has no label ${label}`)
    }
  })

test('there are ten panels and six alerts, and each alert says what to do', () => {
  assert.equal([dashboard.panels.length, rules.length], [10, 6])
  for (const { where, text } of rules) assert.match(text, /`meowmx|\?|grows/, where)
})

test.run()
