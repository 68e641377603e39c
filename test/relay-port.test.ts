// @direct
// Another broker is a small file: three functions. Failed messages are tried again in order, refused ones are parked, and at
// most as many messages as the window allows are under way.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { SubscriptionMismatchError, ValidationError } from '../src/index.ts'
import type { Broker, Message, RelayOptions } from '../src/relay/index.ts'
import { natsBroker, RefusedError, relay } from '../src/relay/index.ts'
import { rejects } from './support/rejects.ts'
import { assertOrder, caughtUp } from './support/relays.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

let meow: Meow
let directory: string
test.before(async () => {
  meow = await openStore()
  directory = await mkdtemp(join(tmpdir(), 'meowmx-relay-'))
})
test.after(async () => {
  await closeAll()
  await rm(directory, { recursive: true })
})

/** A broker: lines of JSON at the end of a file, each durable before it counts. */
function fileBroker(path: string): Broker {
  let file: Awaited<ReturnType<typeof open>> | undefined
  return {
    open: async () => {
      file ??= await open(path, 'a')
    },
    publish: async ({ id, subject, body, headers }) => {
      await file!.appendFile(`${JSON.stringify({ id, subject, headers, data: JSON.parse(body) })}\n`)
      await file!.datasync()
    },
    close: async () => {
      await file?.close()
      file = undefined
    },
  }
}

/** A broker that fails as the test says. */
const badBroker = (publish: Broker['publish']): Broker => ({
  open: async () => {},
  publish,
  close: async () => {},
})

async function append(category: string, count: number, streams: number): Promise<RecordedEvent[]> {
  const one = (n: number) =>
    meow.append({ category, streamId: `${n % streams}` }, { type: 'Happened', data: { n } })
  return (await Promise.all(upTo(count).map(one))).flatMap(({ events }) => events)
}

test('a file is a broker', async () => {
  const category = uniqueName('port')
  const events = await append(category, 100, 10)
  const path = join(directory, category)
  for (const more of [0, 50]) {
    await using relayed = relay(meow, category, { category, prefix: 'shop.eu', broker: fileBroker(path) })
    await relayed.ready
    if (more > 0) events.push(...(await append(category, more, 10)))
    await caughtUp(meow, category)
  }
  const lines = (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.equal(lines.map(({ id }) => id).toSorted(), events.map(({ id }) => id).toSorted(), 'each once')
  assert.is(lines[0].subject, `shop.eu.${category}.Happened`)
  assertOrder(lines)
})

test('at most as many messages as the window says are under way, and one of each stream', async () => {
  const category = uniqueName('window')
  await append(category, 200, 20)
  const onTheWay = new Set<string>()
  let most = 0
  const broker = badBroker(async ({ key }) => {
    assert.not(onTheWay.has(key), `${key} twice`)
    onTheWay.add(key)
    most = Math.max(most, onTheWay.size)
    await new Promise((resolve) => setTimeout(resolve, 5))
    onTheWay.delete(key)
  })
  await using relayed = relay(meow, category, { category, broker, window: 7 })
  await caughtUp(meow, category)
  assert.equal([most, relayed.published, await meow.parked(category)], [7, 200, []])
})

test('whatever fails is tried again before what follows it, as often as it takes', async () => {
  const category = uniqueName('failing')
  const events = await append(category, 300, 10)
  const stored = new Map<string, Message>()
  let call = 0
  const broker = badBroker(async (message) => {
    const n = call++
    if (n % 5 === 1) throw new Error('not stored')
    const duplicate = stored.has(message.id)
    stored.set(message.id, message)
    if (n % 7 === 2) throw 'stored, and nobody hears of it'
    return { duplicate }
  })
  await using relayed = relay(meow, category, { category, broker })
  await caughtUp(meow, category)
  assertOrder([...stored.values()])
  assert.is(stored.size, events.length)
  assert.is(relayed.published, events.length)
  assert.ok(relayed.duplicates > 0)
  assert.equal(await meow.parked(category), [])
})

test('a refused message is parked with its stream, other streams go on, and it can be replayed', async () => {
  const category = uniqueName('refused')
  await append(category, 30, 3)
  const stored: Message[] = []
  let strict = true
  const broker = badBroker(async (message) => {
    const { streamId, version } = message.event
    if (strict && streamId === '1' && version === 4) throw new RefusedError('not this one')
    stored.push(message)
  })
  await using _ = relay(meow, category, { category, broker })
  await caughtUp(meow, category)
  const parked = await meow.parked(category)
  assert.equal(
    parked.map(({ event, attempts }) => [event.streamId, event.version, attempts]),
    upTo(6).map((n) => ['1', 4 + n, n === 0 ? 1 : 0]),
  )
  assert.is(stored.length, 24)
  strict = false
  await meow.replayParked(category)
  await until(() => stored.length === 30, { what: 'the rest' })
  assertOrder(stored)
})

test('a broker that is away for long holds no partition: one who reaches it takes over', async () => {
  const category = uniqueName('away')
  const opens: string[] = []
  let reached = true
  const shaky: Broker = {
    open: async () => {
      opens.push('open')
      if (!reached) throw new Error('away')
    },
    publish: async () => {
      if (!reached) throw new Error('away')
    },
    close: async () => void opens.push('close'),
  }
  const options = { category, leaseMs: 300 }
  await using first = relay(meow, category, { ...options, broker: shaky })
  await append(category, 5, 5)
  await until(() => first.published === 5, { what: 'the first to publish' })
  reached = false
  await append(category, 5, 5)
  const stored: Message[] = []
  await using second = relay(meow, category, {
    ...options,
    broker: badBroker(async (m) => void stored.push(m)),
  })
  await until(() => second.published === 5, { timeoutMs: 30_000, what: 'the second to publish' })
  assert.equal(
    stored.map(({ event }) => event.version),
    [1, 1, 1, 1, 1],
  )
  await second.stop()
  reached = true
  await append(category, 5, 5)
  await until(() => first.published === 10, { timeoutMs: 30_000, what: 'the first to publish again' })
  await first.stop()
  assert.is(opens.at(-1), 'close')
})

test('invalid options, and a name with another selector, are refused', async () => {
  const category = uniqueName('options')
  const broker = badBroker(async () => {})
  const wrong = (options: object, path: string) => {
    try {
      relay(meow, category, { category, broker, ...options } as RelayOptions)
    } catch (error) {
      assert.instance(error, ValidationError)
      return assert.is((error as ValidationError).path, path)
    }
    assert.unreachable(path)
  }
  wrong({ broker: {} }, 'options.broker')
  for (const prefix of ['', 'a..b', '.a', 'a b', '*', 'a.>', '$JS', 'é', 'x'.repeat(129)])
    wrong({ prefix }, 'options.prefix')
  wrong({ window: 0 }, 'options.window')
  wrong({ maxInFlight: 1 }, 'options.maxInFlight')
  wrong({ category: '' }, 'options.category')
  assert.throws(() => natsBroker({ servers: [] }), /options.servers/)
  assert.throws(() => natsBroker({ create: true }), /options.stream must be given/)
  assert.throws(() => natsBroker({ stream: 'a.b' }), /options.stream/)
  await using first = relay(meow, category, { category, broker })
  await first.ready
  const second = relay(meow, category, { category, broker, types: ['Other'] })
  await rejects(second.ready, SubscriptionMismatchError)
  await rejects(second.done, SubscriptionMismatchError)
})

test('without its packages natsBroker says what to install', async () => {
  const root = resolve(import.meta.dirname, '..')
  const modules = join(directory, 'node_modules')
  await mkdir(join(modules, 'meowmx'), { recursive: true })
  for (const part of ['dist', 'sql', 'package.json'])
    await cp(join(root, part), join(modules, 'meowmx', part), { recursive: true })
  for (const name of await readdir(join(root, 'node_modules')))
    if (name !== '@nats-io' && name !== 'meowmx')
      await symlink(join(root, 'node_modules', name), join(modules, name))
  const script = join(directory, 'script.mjs')
  await writeFile(
    script,
    `import { natsBroker } from 'meowmx/relay'
     await natsBroker().open({ subjects: ['a'], leaseMs: 1, logger: console }).catch((e) => console.log(e.code, e.message))`,
  )
  const { stdout } = await promisify(execFile)(process.execPath, [script])
  assert.match(
    stdout,
    'ERR_REFUSED natsBroker() needs two packages: npm install @nats-io/transport-node @nats-io/jetstream',
  )
})

test.run()
