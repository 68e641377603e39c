// "Payment within so much time, else cancel", on a page that counts the time down: the process manager appends what others shall see.
import type { Meow, RecordedEvent } from 'meowmx'
import { defineProcessManager } from 'meowmx'
import { eventFeed } from 'meowmx/http'
import { pageFile, serve } from '../support/page.ts'

const stream = (id: string) => ({ category: 'order', streamId: id })

/** An order is to be paid within `inMs`. */
export const deadline = (inMs: number) =>
  defineProcessManager({
    name: 'payment-deadline',
    category: 'order',
    types: ['OrderPlaced', 'OrderPaid'],
    timers: ['late'],
    correlate: (event: RecordedEvent) => event.streamId,
    initial: { due: '', paid: false },
    react: (state, input, { id, now, append, schedule, cancel, end }) => {
      if (input.name === 'late')
        return { state, effects: [append(stream(id), { type: 'OrderCancelled', data: {} }), end()] }
      if (input.type === 'OrderPaid')
        return { state: { ...state, paid: true }, effects: [cancel('late'), end()] }
      const due = new Date(now.getTime() + inMs)
      const data = { due: due.toISOString() }
      return {
        state: { ...state, ...data },
        // The timer and the event that tells of it are written together: what the page counts down to is what will happen.
        effects: [schedule('late', due), append(stream(id), { type: 'PaymentAwaited', data })],
      }
    },
  })

/** POST /orders/42/place and /orders/42/pay. */
async function command(meow: Meow, request: Request, id: string, what: string): Promise<Response> {
  // A form of another site can't send this type, so no other site can act for the user.
  if (request.headers.get('Content-Type') !== 'application/json')
    return Response.json({ error: 'a command is application/json' }, { status: 415 })
  const known = await meow.load(stream(id))
  const isOver = known.some(({ type }) => type === 'OrderCancelled' || type === 'OrderPaid')
  if (what === 'place' ? known.length > 0 : known.length === 0 || isOver)
    return Response.json({ error: `it is too late to ${what} order ${id}` }, { status: 409 })
  const type = what === 'place' ? 'OrderPlaced' : 'OrderPaid'
  // If the deadline is first, this conflicts with its event, and nothing is paid.
  const expectedVersion = known.at(-1)?.version ?? 'no-stream'
  try {
    await meow.append(stream(id), { type, data: {} }, { expectedVersion })
    return Response.json({})
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_VERSION_CONFLICT') throw error
    return Response.json({ error: `order ${id} has changed just now` }, { status: 409 })
  }
}

export function startPaymentPage(meow: Meow, { port = 0 } = {}) {
  const events = eventFeed(meow, { authorize: (_, { category }) => category === 'order', heartbeatMs: 1_000 })
  const page = new URL('page.html', import.meta.url)
  return serve(async (request) => {
    const { pathname } = new URL(request.url)
    const [, id, what] = /^\/orders\/([\w-]+)\/(place|pay)$/.exec(pathname) ?? []
    if (request.method === 'POST' && id) return command(meow, request, id, what!)
    // The instances themselves: state and timers, as the process manager has them.
    if (pathname === '/instances') return Response.json(await meow.processInstances('payment-deadline'))
    return pathname.startsWith('/events/') ? events(request) : pageFile(page, pathname)
  }, port)
}
