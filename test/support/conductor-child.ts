/** A process that conducts whenever nobody does: `conductor-child.ts <schema>` prints `turn` when it begins to, and `over`. */

import { parse } from '../../src/core/validate.ts'
import { connectOptions } from '../../src/database/connect-options.ts'
import { Database } from '../../src/database/database.ts'
import { statements } from '../../src/database/statements.ts'
import { Duty } from '../../src/notify/coalescing/duty.ts'
import { databaseUrl } from './store.ts'
import { theWay } from './ways.ts'

const [schema] = process.argv.slice(2)
const quiet = () => {}
const debug = (_: unknown, message: string) => {
  if (/^notifying for all appends of/.test(message)) console.log('turn')
  if (/^appends notify/.test(message)) console.log('over')
}
const logger = { debug, info: quiet, warn: quiet, error: quiet }
const options = theWay({ connectionString: databaseUrl(), schema: schema!, logger })
const settings = parse(connectOptions, options, 'options')
const db = new Database(settings)
const duty = new Duty(db, { speed: 0, waiting: 0, looks: 1, leaveMs: 1_000 })
console.log('ready')
setInterval(async () => {
  const [row] = await db.query(statements.horizon, { categories: [] })
  duty.saw(Number(row![0]))
}, 50)
