// @direct
// The command meowmx: projections are listed with their progress, switched, rebuilt and dropped.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, parsed } from './support/cli.ts'
import { dropSchemas, totals, viewSchema } from './support/projections.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const store = ['--schema', storeSchema]
const meow = await openStore({ pollIntervalMs: 100 })
test.after(async () => {
  const schema = storeSchema
  await meow.close()
  await dropSchemas(schema)
  await closeAll()
})

test('projections, activate, rebuild, drop', async () => {
  const [name, category, expose] = [uniqueName('p').slice(0, 10), uniqueName('order'), await viewSchema()]
  await meow.append({ category, streamId: '1' }, { type: 'Ordered', data: { customer: 'ann', amount: 1 } })
  const workers = []
  for (const version of [1, 2]) {
    workers.push(meow.projection(totals({ name, category, expose, version })).start())
    const isLive = async () =>
      (await meow.projections()).some((one) => one.version === version && one.state === 'live')
    await until(isLive, { what: `version ${version}` })
  }
  const { stdout } = await cli(['projections', name, ...store])
  assert.match(stdout, /^NAME +VERSION +STATE +PROGRESS +LAG +A SECOND +LEFT +PARKED +RUNNING +SCHEMA\n/)
  assert.match(stdout, new RegExp(`\n${name} +1 +retired +█{10} 100% +0 +0 +- +0 +yes +\\S+_v1\n`))
  assert.match(stdout, new RegExp(`\n${name} +2 +live +█{10} 100% `))
  assert.is((await cli(['activate', name, '1', ...store])).stdout, `version 1 of "${name}" is live\n`)
  assert.is((await cli(['rebuild', name, ...store])).stdout, `"${name}" is rebuilt\n`)
  const live = await cli(['drop', name, '1', ...store])
  assert.equal([live.code, live.stdout], [1, ''])
  assert.match(live.stderr, `version 1 of projection "${name}" is live: switch to another version first`)
  assert.is((await cli(['drop', name, '2', ...store])).stdout, `version 2 of "${name}" is dropped\n`)
  const listed = parsed((await cli(['projections', '--watch', '--json', ...store])).stdout)
  assert.equal(
    listed.map(({ version, generation, state }) => [version, generation, state]),
    [[1, 2, 'live']],
  )
  const nobody = await cli(['projections', 'nobody', ...store])
  assert.equal([nobody.code, nobody.stderr], [1, 'meowmx: there is no projection "nobody"\n'])
  assert.is((await cli(['activate', name, '0', ...store])).code, 2)
  await Promise.all(workers.map((worker) => worker.stop()))
})

test.run()
