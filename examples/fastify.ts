// Fastify: the store is a plugin that opens with the server and closes with it, after the last request.
import fastify, { type FastifyInstance } from 'fastify'
import { connect, type Meow } from 'meowmx'
import { openDatabase } from './support/database.ts'

declare module 'fastify' {
  interface FastifyInstance {
    meow: Meow
  }
}

/** Connects before the server listens, and closes after it has answered its last request. */
async function eventStore(app: FastifyInstance, options: { connectionString: string }): Promise<void> {
  const meow = await connect(options)
  await meow.migrate()
  app.decorate('meow', meow)
  app.addHook('onClose', () => meow.close())
}
/** A plugin keeps what it decorates to itself, unless it says otherwise; the package fastify-plugin does the same. */
const shared = Object.assign(eventStore, { [Symbol.for('skip-override')]: true })

await using database = await openDatabase()
const app = fastify()
await app.register(shared, { connectionString: database.connectionString })

app.post<{ Params: { id: string }; Body: { text: string } }>(
  '/notes/:id',
  async ({ params, body }, reply) => {
    const { version } = await app.meow.append(
      { category: 'note', streamId: params.id },
      { type: 'Written', data: { text: body.text } },
    )
    return reply.code(201).send({ version })
  },
)

app.get<{ Params: { id: string } }>('/notes/:id', async ({ params }) => {
  const events = await app.meow.load({ category: 'note', streamId: params.id })
  return events.map(({ data }) => data.text)
})

app.get('/ready', async (_, reply) => {
  const { ok } = await app.meow.health()
  return reply.code(ok ? 200 : 503).send({ ok })
})

for (const text of ['first', 'second']) {
  const { statusCode, body } = await app.inject({ method: 'POST', url: '/notes/1', payload: { text } })
  console.log(statusCode, body)
}
console.log((await app.inject('/notes/1')).body)
console.log((await app.inject('/ready')).body)
await app.close()

// Output:
// 201 {"version":0}
// 201 {"version":1}
// ["first","second"]
// {"ok":true}
