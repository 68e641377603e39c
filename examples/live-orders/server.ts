// A page of live orders: events pushed into browsers, commands by POST. No build step: the page loads the client as it is.
import type { Decider, Meow, RecordedEvent } from 'meowmx'
import { eventFeed, stateFeed } from 'meowmx/http'
import { pageFile, serve } from '../support/page.ts'

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
  const page = new URL('page.html', import.meta.url)
  const answer = (request: Request) => {
    const { pathname } = new URL(request.url)
    const [, id] = /^\/orders\/([\w-]+)$/.exec(pathname) ?? []
    if (request.method === 'POST' && id)
      return isUser(request)
        ? command(meow, request, id)
        : Response.json({ error: 'you may not do this' }, { status: 403 })
    if (pathname.startsWith('/events/state/')) return states(request)
    return pathname.startsWith('/events/') ? events(request) : pageFile(page, pathname)
  }
  return serve(answer, port)
}
