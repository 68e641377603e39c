// An HTTP API with Hono: the version of a stream is its ETag, If-Match is the expected version, and a conflict is a problem
// (RFC 9457). An Idempotency-Key makes a request that was sent twice count once.
import { Hono } from 'hono'
import { connect, type Decider, VersionConflictError } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

type CartEvent = { type: 'Added'; data: { item: string } }
const cart: Decider<string, CartEvent, { items: string[] }> = {
  category: 'cart',
  initial: { items: [] },
  evolve: ({ items }, { data }) => ({ items: [...items, data.item] }),
  decide: (item, { items }) => {
    if (items.length >= 3) throw new Error('the cart is full')
    return { type: 'Added', data: { item } }
  },
}

const app = new Hono()

app.get('/carts/:id', async (c) => {
  const { state, version } = await meow.state(cart, c.req.param('id'))
  return c.json(state, 200, { ETag: `"${version}"` })
})

app.post('/carts/:id/items', async (c) => {
  const match = c.req.header('If-Match')?.match(/^"(-?\d+)"$/)
  const key = c.req.header('Idempotency-Key')
  const { item } = await c.req.json<{ item: string }>()
  const { state, result } = await meow.decide(cart, c.req.param('id'), item, {
    ...(match ? { expectedVersion: Number(match[1]) } : {}),
    ...(key ? { idempotencyKey: key } : {}),
  })
  return c.json(state, 200, { ETag: `"${result.version}"` })
})

app.onError((error, c) => {
  const isConflict = error instanceof VersionConflictError
  const status = isConflict ? 412 : 422
  const title = isConflict ? 'The cart has changed' : 'Not possible'
  return c.json({ title, status, detail: error.message }, status, {
    'Content-Type': 'application/problem+json',
  })
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
await add('bread')
await add('jam')
const shown = await app.request('/carts/ann')
console.log(shown.status, shown.headers.get('ETag'), JSON.stringify(await shown.json()))

// Output:
// 200 "0" {"items":["tea"]}
// 200 "0" {"items":["tea"]}
// 200 "1" {"items":["tea","milk"]}
// 412 - {"title":"The cart has changed","status":412,"detail":"stream \"cart/ann\" is at version 1, expected 0"}
// 200 "2" {"items":["tea","milk","bread"]}
// 422 - {"title":"Not possible","status":422,"detail":"the cart is full"}
// 200 "2" {"items":["tea","milk","bread"]}
