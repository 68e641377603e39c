// How a store that lost events is recognized, and what is not mistaken for it.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { HistoryLostError } from '../src/core/errors.ts'
import type { ServerState } from '../src/database/server-timeline.ts'
import { ServerTimeline } from '../src/database/server-timeline.ts'

interface Server {
  standby: boolean
  server: string
  head: number
  events: Map<number, string>
}

/** A history, and what it asks. */
function setUp() {
  const server: Server = { standby: false, server: 'A', head: 0, events: new Map() }
  const logged: unknown[] = []
  const lost: HistoryLostError[] = []
  const ask = async (position: number | null): Promise<ServerState> => {
    const { events, ...said } = server
    const last = Math.max(...events.keys())
    const newest = events.size > 0 ? { position: last, id: events.get(last)! } : null
    return { ...said, id: events.get(position!) ?? null, newest }
  }
  const logger = { debug() {}, info() {}, warn() {}, error: (...words: unknown[]) => logged.push(words) }
  const history = new ServerTimeline(ask, logger)
  history.onLoss((error) => lost.push(error))
  const append = (...ids: string[]) => {
    for (const id of ids) server.events.set(++server.head, id)
  }
  const client = () => ({}) as never
  return { server, history, logged, lost, append, client }
}

test('nothing is lost: new events, and another server that has them', async () => {
  const { server, history, lost, append, client } = setUp()
  await history.check(client())
  assert.is(history.position, 0)
  append('a', 'b')
  await history.check(client())
  append('c')
  history.saw({ position: 3, id: 'c' }, history.current)
  assert.is(history.position, 3)
  server.server = 'B'
  append('d')
  await history.check(client())
  assert.is(history.position, 4)
  assert.equal(lost, [])
})

for (const [what, change] of [
  ['another has its place', (it: Server) => it.events.set(2, 'x')],
  ['it is not there, and positions have not come so far', (it: Server) => it.events.delete(2) && it.head--],
  [
    'it is not there, on another server',
    (it: Server) => {
      it.events.delete(2)
      it.server = 'B'
    },
  ],
  ['nothing is there', (it: Server) => Object.assign(it, { events: new Map(), head: 0 })],
] as const) {
  test(`lost: ${what}`, async () => {
    const { server, history, logged, lost, append, client } = setUp()
    append('a', 'b')
    await history.check(client())
    const { current } = history
    change(server)
    const one = client()
    assert.not(history.isChecked(one))
    await Promise.all([history.check(one), history.check(client())]) // at once, and told once
    assert.equal([lost.length, logged.length], [1, 1])
    assert.equal([lost[0]!.position, lost[0]!.eventId, lost[0]!.lastPosition], [2, 'b', server.head])
    assert.ok(current.aborted && current.reason === lost[0])
    assert.not(history.current.aborted)
    history.saw({ position: 9, id: 'z' }, current) // an answer of before
    assert.ok(history.position < 9)
    await history.check(client())
    assert.is(lost.length, 1)
  })
}

test('an event that is erased is no loss', async () => {
  const { server, history, lost, append, client } = setUp()
  append('a', 'b')
  await history.check(client())
  server.events.delete(2)
  await history.check(client())
  server.server = 'B'
  await history.check(client())
  assert.equal([lost, history.position], [[], 1])
})

test('a standby is not asked: missing events may still arrive', async () => {
  const { server, history, lost, append, client } = setUp()
  append('a', 'b')
  await history.check(client())
  const standby = client()
  Object.assign(server, { standby: true, server: 'B', head: 1, events: new Map([[1, 'a']]) })
  await history.check(standby)
  assert.equal([lost, history.isChecked(standby)], [[], false])
  server.standby = false // promoted without it
  await history.check(standby)
  assert.is(lost.length, 1)
})

test.run()
