// Loads the library while timers are faked (node:test's or Sinon's), removes the fakes, and continues.
import { mock } from 'node:test'
import { install } from '@sinonjs/fake-timers'
import { SINON } from './fakes.ts'

const [faker, options, category] = process.argv.slice(2) as [string, string, string]
let restore = () => mock.timers.reset()
if (faker === 'node') mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] })
else {
  const clock = install({ toFake: SINON })
  restore = () => clock.uninstall()
}
const { connect } = await import('../../src/index.ts')
const { firstValueFrom, take, toArray } = await import('rxjs')
restore()

const meow = await connect(JSON.parse(options))
const stream = { category, streamId: 'a' }
const event = { type: 'T', data: 1 }
const observed = firstValueFrom(meow.events({ category }).pipe(take(2), toArray()))
const handled: number[] = []
const worker = meow.subscription(category, { category }).process(({ version }, { attempt }) => {
  handled.push(version)
  if (version === 1 && attempt < 2) throw new Error('not yet')
})
await worker.ready
await meow.append(stream, event)
const { position } = await meow.append(stream, event)
await meow.waitFor(category, position, { timeoutMs: 60_000 })
const waited = await meow
  .waitFor(category, position + 1_000_000, { timeoutMs: 100 })
  .catch(({ name }) => name)
const events = (await observed).map(({ version }) => version)
await worker.stop()
await meow.close()
console.log(JSON.stringify({ events, handled, waited }))
