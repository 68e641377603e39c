import { randomUUID } from 'node:crypto'
import { connect } from 'meowmx'
import { startPostgres } from 'meowmx/embedded'
import { filter, firstValueFrom, lastValueFrom, take, tap } from 'rxjs'

const server = process.env.DATABASE_URL ? undefined : await startPostgres() // a throw-away PostgreSQL
const meow = await connect({ connectionString: process.env.DATABASE_URL ?? server!.connectionString })
await meow.migrate()

const order = { category: 'order', streamId: randomUUID() }
const pushed = meow.events(order).pipe(tap((event) => console.log('pushed ', event.version, event.type)))
const twoPushed = lastValueFrom(pushed.pipe(take(2)))

await meow.append(order, { type: 'OrderPlaced', data: { price: 9 } }, { expectedVersion: 'no-stream' })
const { position } = await meow.append(order, { type: 'OrderShipped', data: {} }, { expectedVersion: 0 })
await twoPushed

const mailer = meow.subscription('mailer', { category: 'order' }) // resumes at its checkpoint, in any process
const worker = mailer.process((event) => console.log('handled', event.version, event.type))
worker.done.catch(() => process.exit(1)) // it ended by itself, and the log says why
await firstValueFrom(mailer.status$.pipe(filter((status) => status.position >= position)))

for (const event of await meow.load(order)) console.log('loaded ', event.version, event.type)
await meow.close()
await server?.stop()

// Output:
// pushed  0 OrderPlaced
// pushed  1 OrderShipped
// handled 0 OrderPlaced
// handled 1 OrderShipped
// loaded  0 OrderPlaced
// loaded  1 OrderShipped
