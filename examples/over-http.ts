// Events over HTTP: a feed in a server, and a remote that reads it, as in a browser. examples/live-orders is a whole page.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Decider, RecordedEvent } from 'meowmx'
import { connect } from 'meowmx'
import { remote } from 'meowmx/client'
import { eventFeed, stateFeed, toNodeListener } from 'meowmx/http'
import { firstValueFrom, take, toArray } from 'rxjs'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const order: Decider<{ price: number }, RecordedEvent, { total: number }> = {
  category: 'order',
  initial: { total: 0 },
  evolve: ({ total }, { data }) => ({ total: total + data.price }),
  decide: ({ price }) => ({ type: 'ItemAdded', data: { price } }),
}
const isUser = (request: Request) => request.headers.get('Authorization') === 'Bearer secret'

const events = eventFeed(meow, {
  authorize: (request, { category }) => category === 'order' && isUser(request),
})
const states = stateFeed(meow, { order }, { authorize: isUser })
const listener = toNodeListener((request) =>
  new URL(request.url).pathname.startsWith('/events/state/') ? states(request) : events(request),
)

const server = createServer(listener)
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`

await meow.decide(order, '42', { price: 5 }) // before anybody looks

const shop = remote(url, { headers: () => ({ Authorization: 'Bearer secret' }) })
const two = firstValueFrom(shop.events({ category: 'order' }).pipe(take(2), toArray()))
await meow.decide(order, '42', { price: 7 })
for (const { type, data, version } of await two) console.log(version, type, JSON.stringify(data))
console.log(JSON.stringify(await firstValueFrom(shop.watch('order', '42'))))

const stranger = remote(url).events({ category: 'order' })
await firstValueFrom(stranger).catch(({ code, message }) => console.log(code, message))

server.closeAllConnections()
server.close()

// Output:
// 0 ItemAdded {"price":5}
// 1 ItemAdded {"price":7}
// {"version":1,"state":{"total":12}}
// ERR_REMOTE_DENIED the feed answered with status 403: this may not be read with these credentials
