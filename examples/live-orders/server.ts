// A page of live orders: events pushed into browsers, commands by POST. No build step: the page loads the client as it is.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Decider, Meow, RecordedEvent } from 'meowmx'
import { eventFeed, stateFeed, toNodeListener } from 'meowmx/http'

type Command = { do: 'place'; item: string; price: number } | { do: 'ship' }

/** A rule of an order says no: the user may see why. */
class Refused extends Error {}

export const order: Decider<Command, RecordedEvent, { status: 'none' | 'placed' | 'shipped' }> = {
  category: 'order',
  initial: { status: 'none' },
  evolve: (_, { type }) => ({ status: type === 'OrderPlaced' ? 'placed' : 'shipped' }),
  decide: (command, { status }) => {
    if (command.do === 'place') {
      if (status !== 'none') throw new Refused('this order exists already')
      if (!(command.price > 0)) throw new Refused('the price must be above 0')
      return { type: 'OrderPlaced', data: { item: command.item, price: command.price } }
    }
    if (status !== 'placed') throw new Refused(`an order that is ${status} can not be shipped`)
    return { type: 'OrderShipped', data: {} }
  },
}

/** What the page loads, by its path. */
const here = (name: string) => new URL(name, import.meta.url)
const FILES: Record<string, [URL | string, string]> = {
  '/': [here('./page.html'), 'text/html'],
  '/rxjs.umd.js': [
    import.meta.resolve('rxjs/package.json').replace('package.json', 'dist/bundles/rxjs.umd.min.js'),
    'text/javascript',
  ],
}
const CLIENT = import.meta.resolve('meowmx/client')

async function file(path: string): Promise<Response> {
  const [, module] = /^\/client\/([\w-]+\.js)$/.exec(path) ?? []
  const [place, type] = module ? [new URL(module, CLIENT), 'text/javascript'] : (FILES[path] ?? [])
  if (!place) return new Response('not found', { status: 404 })
  return new Response(await readFile(fileURLToPath(place)), { headers: { 'Content-Type': type! } })
}

/** POST /orders/42 with a command. The answer tells the version and position to wait for, if an own write is to be read. */
async function command(meow: Meow, request: Request, id: string): Promise<Response> {
  // A form of another site can't send this type, so no other site can act for the user.
  if (request.headers.get('Content-Type') !== 'application/json')
    return Response.json({ error: 'a command is application/json' }, { status: 415 })
  try {
    const { state, result } = await meow.decide(order, id, (await request.json()) as Command)
    return Response.json({ ...state, version: result.version, position: result.position })
  } catch (error) {
    if (error instanceof Refused) return Response.json({ error: error.message }, { status: 409 })
    console.error(error)
    return Response.json({ error: 'the command failed' }, { status: 500 })
  }
}

export async function startLiveOrders(meow: Meow, { port = 0, isUser = (_: Request): boolean => true } = {}) {
  const events = eventFeed(meow, {
    authorize: (request, { category }) => category === 'order' && isUser(request),
    heartbeatMs: 1_000,
  })
  const states = stateFeed(meow, { order }, { authorize: isUser })
  const listener = toNodeListener((request) => {
    const { pathname } = new URL(request.url)
    const [, id] = /^\/orders\/([\w-]+)$/.exec(pathname) ?? []
    if (request.method === 'POST' && id)
      return isUser(request)
        ? command(meow, request, id)
        : Response.json({ error: 'you may not do this' }, { status: 403 })
    if (pathname.startsWith('/events/state/')) return states(request)
    return pathname.startsWith('/events/') ? events(request) : file(pathname)
  })
  const server = createServer(listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      return closed
    },
  }
}
