/**
 * A process that consumes; plain JavaScript, so that no compiler's memory is taken for ours.
 * Takes ConsumerOptions as JSON, says `{ ready }`, then at each line a State, or at the line `times` `{ times: […] }`.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { connect } from 'meowmx'
import pg from 'pg'
import { lastValueFrom, take, tap } from 'rxjs'

const {
  url,
  how,
  names,
  category,
  after = 0,
  from = { after },
  maxInFlight,
  folder,
  spans = [after],
  span = Number.POSITIVE_INFINITY,
} = JSON.parse(process.argv[2])
const now = () => Number(process.hrtime.bigint()) / 1e6
let seen = 0
let first = 0
let at = 0
let peak = 0
const times = []
const see = (time) => {
  if (seen++ === 0) first = now()
  at = now()
  if (typeof time === 'number') times.push(at - time)
}
setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss())
}, 50).unref()

const say = (what) => console.log(JSON.stringify(what))
if (how === 'notify') {
  const client = new pg.Client(url)
  await client.connect()
  client.on('notification', ({ payload }) => see(JSON.parse(payload).at))
  await client.query('listen bare')
} else if (how === 'peer') {
  const { subscribe } = await import(`./peers/${names[0]}.mjs`)
  const require = createRequire(join(folder, 'package.json'))
  await subscribe(
    url,
    (data) => see(data.at),
    (name) => import(pathToFileURL(require.resolve(name)).href),
  )
} else if (how === 'paging' || how === 'paging-events') {
  // Pages as objects: of a bare table, which is the least that reading costs; of the events themselves.
  const client = new pg.Client(url)
  await client.connect()
  const [key, text] =
    how === 'paging'
      ? ['id', 'select id, stream, version, type, data from bare where id > $1 order by id limit 5000']
      : [
          'position',
          `select * from meowmx.events where category = 'order' and position > $1 order by position limit 5000`,
        ]
  for (const begin of spans) {
    for (let last = String(begin), read = 0, full = true; full && read < span; ) {
      const { rows } = await client.query({ name: 'page', text, values: [last] })
      for (const { data } of rows) see(data.at)
      last = rows.at(-1)?.[key] ?? last
      read += rows.length
      full = rows.length === 5000
    }
  }
} else {
  const meow = await connect({ connectionString: url })
  if (how === 'events' && spans.length > 1) {
    for (const begin of spans) {
      const events = meow.events({ category }, { from: { after: begin } }).pipe(take(span))
      await lastValueFrom(events.pipe(tap((event) => see(event.data.at))))
    }
  } else if (how === 'events') {
    for (const _ of names) meow.events({ category }, { from }).subscribe((event) => see(event.data.at))
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
    const workers = names.map((name) =>
      meow.subscription(name, { category, from, maxInFlight }).process((event) => see(event.data.at)),
    )
    await Promise.all(workers.map(({ ready }) => ready))
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
