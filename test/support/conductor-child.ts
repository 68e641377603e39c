/** A process that conducts whenever nobody does: `conductor-child.ts <schema>` prints `turn` when it begins to, and `over`. */

import { parse } from '../../src/core/validate.ts'
import { connectOptions } from '../../src/database/connect-options.ts'
import { Database } from '../../src/database/database.ts'
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
const horizon = db.file('horizon')
console.log('ready')
setInterval(async () => duty.saw(Number((await db.query(horizon, [[]]))[0]![0])), 50)
