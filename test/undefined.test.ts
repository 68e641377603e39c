// A selector, a stream or an expected version that is undefined is refused, because it would select more or check less than
// intended; elsewhere undefined means "not given".
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, ValidationError } from '../src/index.ts'
import { relay } from '../src/relay/index.ts'
import { memoryStore } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, storeSchema, uniqueName } from './support/store.ts'

test.after(closeAll)

const stream = { category: uniqueName('undefined'), streamId: 'a' }
const event = { type: 'T', data: 1 }
const broker = { open: async () => {}, publish: async () => {}, close: async () => {} }

type Call = (meow: any) => unknown
type Refused = [call: Call, path: string, meaning: RegExp]

const selecting: ((meow: any, selector: any) => unknown)[] = [
  (meow, selector) => meow.read(selector),
  (meow, selector) => meow.events(selector),
  (meow, selector) => meow.iterate(selector),
]
const everywhere: Refused[] = [
  ...selecting.flatMap((call): Refused[] => [
    [(meow) => call(meow, { category: undefined }), 'selector.category', /every category/],
    [(meow) => call(meow, { ...stream, category: undefined }), 'selector.category', /every category/],
    [(meow) => call(meow, { types: undefined }), 'selector.types', /every type/],
    [(meow) => call(meow, { category: 'a', types: undefined }), 'selector.types', /every type/],
    [
      (meow) => call(meow, { ...stream, streamId: undefined }),
      'selector.streamId',
      /every stream of "undefined_/,
    ],
    [(meow) => call(meow, { category: [undefined] }), 'selector.category[0]', /undefined/],
    [(meow) => call(meow, { category: new Array(1) }), 'selector.category[0]', /undefined/],
    [(meow) => call(meow, { types: ['T', undefined] }), 'selector.types[1]', /undefined/],
  ]),
  [(meow) => meow.events({}, { from: { after: undefined } }), 'options.from', /after/],
  [
    (meow) => meow.append(stream, event, { expectedVersion: undefined }),
    'options.expectedVersion',
    /'any'.*'no-stream'/,
  ],
  [(meow) => meow.append(stream, [], { expectedVersion: undefined }), 'options.expectedVersion', /'any'/],
  [
    (meow) => meow.appendAll([{ stream, events: event, expectedVersion: undefined }]),
    'writes[0].expectedVersion',
    /'any'/,
  ],
  [(meow) => meow.append({ ...stream, streamId: undefined }, event), 'stream.streamId', /undefined/],
  [(meow) => meow.load({ ...stream, streamId: undefined }), 'stream.streamId', /undefined/],
  [(meow) => meow.loadAggregate(Object.assign(class {}, stream), undefined), 'stream.streamId', /undefined/],
]
const onlyHere: Refused[] = [
  [(meow) => meow.subscription('s', { category: undefined }), 'options.category', /every category/],
  [(meow) => meow.subscription('s', { types: undefined }), 'options.types', /every type/],
  [
    (meow) => meow.subscription('s', { ...stream, streamId: undefined }),
    'options.streamId',
    /every stream of "undefined_/,
  ],
  [(meow) => relay(meow, 's', { broker, category: undefined as any }), 'options.category', /every category/],
  [(meow) => meow.alterSubscription('s', { category: undefined }), 'changes.category', /as it is/],
  [(meow) => meow.alterSubscription('s', { types: undefined }), 'changes.types', /as they are/],
  [(meow) => meow.resetSubscription('s', undefined), 'to', /undefined/],
  [(meow) => meow.replayParked('s', { streamId: undefined }), 'options.streamId', /every stream/],
  [(meow) => meow.eraseStream({ ...stream, streamId: undefined }), 'stream.streamId', /undefined/],
  [(meow) => meow.project(undefined, () => {}), 'category', /undefined/],
]

async function refuses(meow: unknown, [call, path, meaning]: Refused): Promise<void> {
  const error = await rejects((async () => [await call(meow)].length)(), ValidationError)
  assert.is(error.path, path)
  assert.match(error.message, meaning)
}

test('what would select more, or check less', async () => {
  const meow = await openStore()
  for (const refused of [...everywhere, ...onlyHere]) await refuses(meow, refused)
  assert.is((await meow.read(stream)).events.length, 0)
})

test('a store in memory refuses the same', async () => {
  const store = memoryStore()
  for (const refused of everywhere) await refuses(store, refused)
})

test('an undefined expected version, read from an empty array, is not taken for "any"', async () => {
  const meow = await openStore()
  const opened = { ...stream, streamId: 'opened' }
  const open = async () => {
    const expectedVersion: any = (await meow.load(opened)).at(-1)?.version
    return meow.append(opened, event, { expectedVersion })
  }
  for (const result of await Promise.allSettled([open(), open()])) {
    assert.is(result.status, 'rejected')
    assert.instance((result as PromiseRejectedResult).reason, ValidationError)
  }
  assert.equal(await meow.load(opened), [])
})

test('an aggregate that does not say at which version it was loaded is not saved', async () => {
  const meow = await openStore()
  const aggregate: any = { ...stream, collectPendingEvents: () => ({ events: [event] }) }
  const error = await rejects(meow.saveAggregate(aggregate), ValidationError)
  assert.match(error.path, /expectedVersion$/)
  assert.equal(await meow.load(stream), [])
})

test('elsewhere undefined is "not given"', async () => {
  const meow = await connect({
    connectionString: databaseUrl(),
    pool: undefined,
    schema: storeSchema,
    maxConnections: undefined,
    listenConnectionString: undefined,
    listen: undefined,
    logger: undefined,
    queryTimeoutMs: undefined,
  })
  const given = { ...stream, streamId: 'given' }
  await meow.append(given, { ...event, id: undefined, metadata: undefined }, { client: undefined })
  await meow.appendAll([{ stream: given, events: event }], { client: undefined })
  const none = { fromVersion: undefined, toVersion: undefined, direction: undefined, limit: undefined }
  assert.is((await meow.load(given, none)).length, 2)
  const page = await meow.read(given, { after: undefined, until: undefined, limit: undefined })
  assert.is(page.events.length, 2)
  const seen: number[] = []
  for await (const { version } of meow.iterate(given, { from: undefined, live: false, signal: undefined }))
    seen.push(version)
  assert.equal(seen, [0, 1])
  await meow.subscriptions({ names: undefined, exact: undefined })
  const handled: number[] = []
  const worker = meow
    .subscription(uniqueName('given'), {
      ...given,
      from: undefined,
      maxInFlight: undefined,
      leaseMs: undefined,
    })
    .process(({ version }) => void handled.push(version), {
      concurrency: undefined,
      timeoutMs: undefined,
      retry: { maxAttempts: undefined },
      outage: undefined,
    })
  await worker.ready
  await worker.stop({ timeoutMs: undefined })
  await meow.close({ timeoutMs: undefined })
})

test.run()
