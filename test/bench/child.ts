/**
 * A process that consumes. Takes ConsumerOptions as JSON; says `{ ready }`, then at each line it is told, `{ seen, first, at, cpu, rss }`:
 * how many events it has seen, when the first and the last one, the CPU it has used (all times in ms), and its memory in bytes. `{ times: […] }` where it is told `times`.
 */
import { createInterface } from 'node:readline'
import { connect } from 'meowmx'
import pg from 'pg'
import { now } from './statistics.ts'

const { url, how, names, category, after = 0, from = { after } } = JSON.parse(process.argv[2]!)
let seen = 0
let first = 0
let at = 0
let peak = 0
const times: number[] = []
const see = (time: unknown) => {
  if (seen++ === 0) first = now()
  at = now()
  if (typeof time === 'number') times.push(at - time)
}
setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss())
}, 50).unref()

const say = (what: object) => console.log(JSON.stringify(what))
if (how === 'notify') {
  const client = new pg.Client(url)
  await client.connect()
  client.on('notification', ({ payload }) => see(JSON.parse(payload!).at))
  await client.query('listen bare')
} else if (how === 'paging') {
  // What reading could cost at most: pages of a bare table, as objects.
  const client = new pg.Client(url)
  await client.connect()
  const text = 'select id, stream, version, type, data from bare where id > $1 order by id limit 5000'
  for (let last = String(after), full = true; full; ) {
    const { rows } = await client.query({ name: 'page', text, values: [last] })
    for (const { data } of rows) see(data.at)
    last = rows.at(-1)?.id ?? last
    full = rows.length === 5000
  }
} else {
  const meow = await connect({ connectionString: url })
  if (how === 'events') {
    for (const _ of names)
      meow.events({ category }, { from }).subscribe((event) => see((event.data as { at?: number }).at))
  } else if (how === 'transactional') {
    const text = 'insert into bare (stream, version, type, data) values (gen_random_uuid(), $1, $2, $3)'
    for (const name of names) {
      meow.subscription(name, { category, from, partitions: 4 }).process(
        async (event, { client }) => {
          await client.query({ name: 'effect', text, values: [event.version, event.type, event.data] })
          see(undefined)
        },
        { transactional: true },
      )
    }
  } else {
    const workers = names.map((name: string) =>
      meow.subscription(name, { category, from }).process((event) => see((event.data as { at?: number }).at)),
    )
    await Promise.all(workers.map(({ ready }: { ready: Promise<void> }) => ready))
  }
}
say({ ready: true })
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { user, system } = process.cpuUsage()
    if (line === 'times') say({ times: times.splice(0) })
    else say({ seen, first, at, cpu: (user + system) / 1000, rss: peak })
  })
  .on('close', () => process.exit())
