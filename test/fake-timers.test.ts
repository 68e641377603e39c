// @direct
// Tests of users may fake timers and restore them at any moment: afterwards everything continues, and close() ends.
import { execFile } from 'node:child_process'
import { mock } from 'node:test'
import { promisify } from 'node:util'
import { install as installSinon } from '@sinonjs/fake-timers'
import { firstValueFrom, toArray } from 'rxjs'
import { take } from 'rxjs/operators'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions } from '../src/index.ts'
import { SINON } from './support/fakes.ts'
import { closeAll, databaseUrl, openStore, storeSchema, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'
import { until } from './support/until.ts'

test.after(closeAll)

/** Fake time; what it returns takes that away again. */
const fakers: Record<string, () => () => void> = {
  'Sinon (Jest, Vitest)': () => {
    const clock = installSinon({ toFake: SINON })
    return () => clock.uninstall()
  },
  'node:test': () => {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] })
    return () => mock.timers.reset()
  },
}

/** The pending work of the last append is done. */
const rest = () => new Promise((resolve) => setImmediate(resolve))

/** Lets this many microtasks run; promises are never faked. */
async function turns(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await null
}

const event = { type: 'T', data: 1 }
const open = (options: ConnectOptions = {}) => openStore({ pollIntervalMs: 100, ...options })

for (const [name, fake] of Object.entries(fakers)) {
  test(`${name}: appends that begin under fake timers are answered, however soon the fakes are removed`, async () => {
    const meow = await open()
    const category = uniqueName('order')
    await meow.append({ category, streamId: 'first' }, event)
    for (const n of [0, 1, 2, 3, 5, 8, 13, 21, 34]) {
      await rest()
      const restore = fake()
      const appending = Promise.all(
        ['a', 'b', 'c'].map((streamId) => meow.append({ category, streamId }, event)),
      )
      await turns(n)
      restore()
      assert.is((await appending).length, 3)
    }
    await meow.close()
  })

  test(`${name}: a batch that is being sent, and the appends that wait for it`, async () => {
    const meow = await open()
    const category = uniqueName('order')
    const append = (n: number) =>
      Array.from({ length: n }, () => meow.append({ category, streamId: 'a' }, event))
    const before = append(20)
    const restore = fake()
    const meanwhile = append(20)
    await turns(20)
    restore()
    const after = append(20)
    const results = await Promise.all([...before, ...meanwhile, ...after])
    assert.equal(
      results.map(({ version }) => version),
      Array.from(results.keys()),
    )
    await meow.close()
  })

  test(`${name}: live events and a worker that retries go on`, async () => {
    const meow = await open()
    const category = uniqueName('order')
    const stream = { category, streamId: 'a' }
    const observed = firstValueFrom(meow.events({ category }).pipe(take(4), toArray()))
    const attempts: number[] = []
    const worker = meow.subscription(category, { category }).process(({ version }, { attempt }) => {
      attempts.push(version)
      if (version === 1 && attempt < 3) throw new Error('not yet')
    })
    await worker.ready
    await meow.append(stream, event)
    await meow.waitFor(category, (await meow.append(stream, event)).position)
    await rest()
    let restore = fake()
    const third = meow.append(stream, event)
    await turns(20)
    restore()
    await third
    // From here on everything waits with fake timers.
    restore = fake()
    const waiting = meow
      .waitFor(category, (await third).position + 1_000_000, { timeoutMs: 200 })
      .catch(({ name }) => name)
    await turns(20)
    restore()
    assert.is(await waiting, 'TimeoutError')
    const { position } = await meow.append(stream, event)
    await meow.waitFor(category, position)
    assert.equal(
      (await observed).map(({ version }) => version),
      [0, 1, 2, 3],
    )
    assert.equal(attempts, [0, 1, 1, 1, 2, 3])
    restore = fake()
    const stopping = worker.stop()
    await turns(20)
    restore()
    await stopping
    await meow.close()
  })

  test(`${name}: close() that begins under fakes ends`, async () => {
    const meow = await open()
    const category = uniqueName('order')
    meow.events({ category }).subscribe()
    const appending = meow.append({ category, streamId: 'a' }, event)
    const restore = fake()
    const closing = meow.close()
    await turns(20)
    restore()
    await appending
    await closing
  })

  test(`${name}: connections that are opened under fake timers keep their time limit`, async () => {
    const meow = await open({ queryTimeoutMs: 2_000 })
    const category = uniqueName('order')
    const stream = { category, streamId: 'a' }
    const restore = fake()
    // More than are at hand: Node itself needs nextTick to open a socket.
    const loads = Array.from({ length: 6 }, () => meow.load(stream))
    const pushed = firstValueFrom(meow.events({ category }))
    await turns(50)
    restore()
    await Promise.allSettled(loads)
    await until(() => meow.append(stream, event).catch(() => undefined), { what: 'an append' })
    assert.is((await pushed).version, 0)
    await meow.close()
  })
}

for (const faker of ['sinon', 'node']) {
  test(`${faker}: loaded under fakes, it works there and without them`, async () => {
    const child = new URL('./support/fake-timers-child.ts', import.meta.url).pathname
    const options = { connectionString: databaseUrl(), schema: storeSchema, pollIntervalMs: 100 }
    await openStore()
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...program(child), faker, JSON.stringify(options), uniqueName('order')],
      { timeout: 120_000 },
    )
    assert.equal(JSON.parse(stdout), { events: [0, 1], handled: [0, 1, 1], waited: 'TimeoutError' })
  })
}

test.run()
