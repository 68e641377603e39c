/** A process that becomes the publisher if there is none: `publisher-child.ts <schema>` prints `begins`, and `ends`. */

import { parse } from '../../src/core/validate.ts'
import { connectOptionsSchema } from '../../src/database/connect-options.ts'
import { Database } from '../../src/database/database.ts'
import { statements } from '../../src/database/statements.ts'
import { Coalescer } from '../../src/notify/coalescing/coalescer.ts'
import { databaseUrl } from './store.ts'
import { theWay } from './ways.ts'

const [schema] = process.argv.slice(2)
const ignore = () => {}
const debug = (_: unknown, message: string) => {
  if (/^notifying for all appends of/.test(message)) console.log('begins')
  if (/^appends notify/.test(message)) console.log('ends')
}
const logger = { debug, info: ignore, warn: ignore, error: ignore }
const options = theWay({ connectionString: databaseUrl(), schema: schema!, logger })
const settings = parse(connectOptionsSchema, options, 'options')
const db = new Database(settings)
const coalescer = new Coalescer(db, { speed: 0, waiting: 0, checks: 1, leaveMs: 1_000 })
console.log('ready')
setInterval(async () => {
  const [row] = await db.query(statements.horizon, { categories: [] })
  coalescer.saw(Number(row![0]))
}, 50)
