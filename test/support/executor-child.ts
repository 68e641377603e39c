/**
 * An executor in a process of its own: `executor-child.ts <schema> <subscription> <category> <leaseMs> <handlerMs>`. Sends its
 * parent `{ ready }`, each event that it handled, and the result of each ack; ends when the parent sends 'stop' or ends.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { concatMap } from 'rxjs'
import { connect } from '../../src/index.ts'
import { databaseUrl } from './store.ts'
import { theWay } from './ways.ts'

const [schema, subscription, category, leaseMs, handlerMs] = process.argv.slice(2) as string[]
const meow = await connect(theWay({ connectionString: databaseUrl(), schema: schema! }))
const tell = (message: object) => process.connected && process.send!(message)

const durable = meow.subscription(subscription!, {
  category: category!,
  leaseMs: Number(leaseMs),
  maxInFlight: 20,
})
durable.status$.subscribe(({ state }) => tell({ state }))
durable
  .deliveries()
  .pipe(
    concatMap(async ({ event, ack }) => {
      await delay(Number(handlerMs))
      tell({ handled: event.position, streamId: event.streamId, version: event.version })
      ack().then(
        () => tell({ acked: event.position }),
        (error) => tell({ refused: event.position, code: error.code }),
      )
    }),
  )
  .subscribe()
tell({ ready: true })

const stop = async () => {
  await meow.close()
  if (process.connected) process.disconnect()
}
process.on('message', stop)
process.on('disconnect', stop)
