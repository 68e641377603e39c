/**
 * One process of a fleet: an executor, which says as lines what it begins (`position stream version tick`, the tick in µs of
 * the clock that all processes share), or a writer, which appends at a pace to streams at random. Plain JavaScript, since many
 * are started at once. Says `ready`, then; told `close` on stdin, or left alone, it closes.
 */
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'meowmx'

const {
  role,
  url,
  schema,
  name,
  partitions,
  categories,
  streams,
  leaseMs,
  maxConnections,
  pauseMs,
  transactional,
} = JSON.parse(process.argv[2])
const meow = await connect({ connectionString: url, schema, maxConnections })
const dice = (below) => Math.floor(Math.random() * below)
let open = true

if (role === 'executor') {
  const begin = ({ position, category, streamId, version }) => {
    const tick = process.hrtime.bigint() / 1_000n
    process.stdout.write(`${position} ${category}/${streamId} ${version} ${tick}\n`)
  }
  const worker = meow
    .subscription(name, { partitions, leaseMs })
    .process(begin, transactional ? { transactional } : {})
  worker.done.catch((error) => {
    console.error(error)
    process.exit(1)
  })
  await worker.ready
} else {
  const write = async () => {
    while (open) {
      const stream = { category: `c${dice(categories)}`, streamId: `s${dice(streams)}` }
      await meow.append(stream, { type: 'Happened', data: { by: process.pid } })
      await delay(pauseMs / 2 + dice(pauseMs))
    }
  }
  write().catch((error) => {
    console.error(error)
    process.exit(1)
  })
}
console.log('ready')
const close = async () => {
  open = false
  await meow.close()
  process.stdin.destroy()
}
createInterface({ input: process.stdin })
  .on('line', () => void close())
  .on('close', () => void close())
