/**
 * A process that opens and closes stores at random moments, and then must end by itself. Takes the random seed, the
 * schema, how many rounds and the faults to choose from; ends by itself, for it never calls process.exit(). With a fault that
 * ends in `, noticed`, the store is closed after it has noticed the fault, at any moment of its attempts to reconnect; with `,
 * mended`, while these succeed.
 */
import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import pg from 'pg'
import { filter, firstValueFrom } from 'rxjs'
import type { Meow } from '../../src/index.ts'
import { connect } from '../../src/index.ts'
import { startProxy } from './proxy.ts'
import { random } from './random.ts'
import { directUrl } from './store.ts'
import { theWay } from './ways.ts'

const [seed, schema, rounds, faults] = process.argv.slice(2) as [string, string, string, string]
const dice = random(Number(seed))
const connectionString = process.env.DATABASE_URL!
const admin = new pg.Client({ connectionString: directUrl(), application_name: 'admin' })
await admin.connect()

const event = { type: 'Happened', data: {} }
/** Calls that are still running at the end of the round; each may fail like one of a closed store. */
const activities: ((meow: Meow) => unknown)[] = [
  (meow) => meow.append({ category: 'close', streamId: '1' }, event).catch(expected),
  (meow) => meow.read({}).catch(expected),
  (meow) => meow.events({}).subscribe(),
  (meow) => meow.events({ category: 'close' }, { from: 'end' }).subscribe().unsubscribe(),
  (meow) => meow.events({ category: 'close' }, { live: false }).subscribe({ error: expected }),
  (meow) => meow.iterate({})[Symbol.asyncIterator]().next(),
  (meow) => meow.subscription('closing', { leaseMs: 200 }).process(() => turn()),
  (meow) =>
    meow
      .subscription('closing', { leaseMs: 200 })
      .deliveries()
      .subscribe((delivery) => delivery.ack()),
  (meow) => meow.subscription('closing', { leaseMs: 200 }).deliveries().subscribe(),
  (meow) =>
    meow
      .subscription('closing', {})
      .process(() => {})
      .stop(),
  (meow) => meow.status$.subscribe(),
]

// If the server does not answer, close() waits for its limit. Elsewhere a login may take longer on a loaded machine.
const queryTimeoutMs = /blackhole|no answers/.test(faults) ? 1_000 : 3_000

for (let round = 0; round < Number(rounds); round++) {
  const [fault, then] = dice.pick(faults.split(';')).split(', ')
  const proxy = await startProxy(connectionString)
  const { port } = new URL(proxy.url)
  const meow = await connect(
    theWay({ connectionString: proxy.url, schema, queryTimeoutMs, pollIntervalMs: 50 }),
  )
  const pause = async () => {
    for (let turns = dice.int(0, dice.pick([1, 10, 200])); turns > 0; turns--) await turn()
  }
  await pause()
  for (const activity of activities) if (dice.chance(0.4)) activity(meow)
  await pause()
  if (fault === 'terminate') {
    await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
      dice.pick([`meowmx listener ${schema}`, `meowmx ${schema}`]),
    ])
  }
  if (fault === 'cut') await proxy.cut()
  if (fault === 'blackhole') proxy.blackhole()
  if (fault === 'no answers') proxy.blackhole('back')
  await pause()
  if (then) {
    await firstValueFrom(meow.status$.pipe(filter(({ cause }) => cause !== undefined)))
    // A random time, because nothing marks the moment of an attempt.
    await delay(dice.int(0, dice.pick([20, 200, 2_500])))
    if (then === 'mended') await proxy.heal()
    await pause()
  }
  const begin = performance.now()
  await Promise.all([meow.close(), meow.close()])
  const took = performance.now() - begin
  console.log(`${[fault, then]}: closed in ${Math.round(took)} ms`)
  const left = (process as any)
    ._getActiveHandles()
    .filter((handle: Socket) => handle.remotePort === Number(port))
  await proxy.close()
  if (left.length > 0) throw new Error(`${left.length} connections left after ${fault}`)
  // Without answers, several limits of a second pass one after the other: 5.3 s at most on a machine that has time.
  if (took > 8_000) throw new Error(`close() took ${took} ms after ${fault}`)
}
await admin.end()

function expected(error: { code?: string }): void {
  if (!/^ERR_(CLOSED|CONNECTION|TIMEOUT|OUTCOME_UNKNOWN)$/.test(error.code ?? '')) throw error
}
