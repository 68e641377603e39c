/**
 * A relay as a process of its own. Takes a RelayChildOptions as JSON; says as lines of JSON what it owns `{ state, partitions }`
 * and, every 20 ms, what it did `{ published, duplicates }`; told `stop` on stdin, it ends.
 */
import { createInterface } from 'node:readline'
import { connect } from '../../src/index.ts'
import { natsBroker, relay } from '../../src/relay/index.ts'
import type { RelayChildOptions } from './relay-children.ts'
import { theWay } from './ways.ts'

const { schema, name, nats, ...options } = JSON.parse(process.argv[2]!) as RelayChildOptions
const say = (line: object) => console.log(JSON.stringify(line))
const meow = await connect(
  theWay({ connectionString: process.env.DATABASE_URL!, schema, pollIntervalMs: 100 }),
)
const relaying = relay(meow, name, { ...options, broker: natsBroker(nats) })
relaying.status$.subscribe(({ state, partitions }) => say({ state, partitions }))
const { published, duplicates } = relaying
const telling = setInterval(() => say({ published: relaying.published, duplicates: relaying.duplicates }), 20)
say({ published, duplicates })

createInterface({ input: process.stdin }).on('line', async () => {
  await relaying.stop()
  clearInterval(telling)
  say({ published: relaying.published, duplicates: relaying.duplicates })
  await meow.close()
  process.stdin.destroy()
})
