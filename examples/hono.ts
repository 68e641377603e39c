// An HTTP API with Hono: the version of a stream is its ETag, If-Match is the expected version, and a conflict is a problem
// (RFC 9457). An Idempotency-Key makes a request that was sent twice count once.
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { connect, type Decider, VersionConflictError } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

/** A rule of a cart says no: the client may see why. */
class Refused extends Error {}

type CartEvent = { type: 'Added'; data: { item: string } }
const cart: Decider<string, CartEvent, { items: string[] }> = {
  category: 'cart',
  initial: { items: [] },
  evolve: ({ items }, { data }) => ({ items: [...items, data.item] }),
  decide: (item, { items }) => {
    if (items.length >= 3) throw new Refused('the cart is full')
    return { type: 'Added', data: { item } }
  },
}

const app = new Hono()

app.get('/carts/:id', async (c) => {
  const { state, version } = await meow.state(cart, c.req.param('id'))
  return c.json(state, 200, { ETag: `"${version}"` })
})

app.post('/carts/:id/items', async (c) => {
  const given = c.req.header('If-Match')
  const match = given?.match(/^"(-?\d+)"$/)
  if (given !== undefined && !match) throw new HTTPException(400, { message: 'If-Match must be the ETag' })
  const key = c.req.header('Idempotency-Key')
  const { item } = await c.req.json<{ item: string }>()
  const { state, result } = await meow.decide(cart, c.req.param('id'), item, {
    ...(match ? { expectedVersion: Number(match[1]) } : {}),
    ...(key ? { idempotencyKey: key } : {}),
  })
  return c.json(state, 200, { ETag: `"${result.version}"` })
})

app.onError((error, c) => {
  const problem = (status: 400 | 412 | 422 | 500, title: string, detail?: string) =>
    c.json({ title, status, detail }, status, { 'Content-Type': 'application/problem+json' })
  if (error instanceof VersionConflictError) return problem(412, 'The cart has changed', error.message)
  if (error instanceof Refused) return problem(422, 'Not possible', error.message)
  if (error instanceof HTTPException) return problem(400, 'Not understood', error.message)
  console.error(error) // for the operator, and not for the client
  return problem(500, 'It failed')
})

// Requests as a client would send them. A server is `serve({ fetch: app.fetch })` of @hono/node-server.
async function add(item: string, headers: Record<string, string> = {}): Promise<void> {
  const response = await app.request('/carts/ann/items', {
    method: 'POST',
    body: JSON.stringify({ item }),
    headers,
  })
  console.log(response.status, response.headers.get('ETag') ?? '-', JSON.stringify(await response.json()))
}
await add('tea', { 'Idempotency-Key': 'k1' })
await add('tea', { 'Idempotency-Key': 'k1' }) // sent again, because the answer was lost
await add('milk', { 'If-Match': '"0"' })
await add('salt', { 'If-Match': '"0"' }) // the cart that this client saw is not the current one
await add('salt', { 'If-Match': '*0' }) // not understood: nothing is written
await add('bread')
await add('jam')
const shown = await app.request('/carts/ann')
console.log(shown.status, shown.headers.get('ETag'), JSON.stringify(await shown.json()))

// Output:
// 200 "0" {"items":["tea"]}
// 200 "0" {"items":["tea"]}
// 200 "1" {"items":["tea","milk"]}
// 412 - {"title":"The cart has changed","status":412,"detail":"stream \"cart/ann\" is at version 1, expected 0"}
// 400 - {"title":"Not understood","status":400,"detail":"If-Match must be the ETag"}
// 200 "2" {"items":["tea","milk","bread"]}
// 422 - {"title":"Not possible","status":422,"detail":"the cart is full"}
// 200 "2" {"items":["tea","milk","bread"]}
