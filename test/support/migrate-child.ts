/** A process that migrates: `migrate-child.ts <schema> <callers>` prints how many files each caller applied, as JSON. */
import { connect } from '../../src/index.ts'
import { databaseUrl } from './store.ts'
import { theWay } from './ways.ts'

const [schema, callers] = process.argv.slice(2)
const meow = await connect(
  theWay({
    connectionString: databaseUrl(),
    schema: schema!,
    listen: false,
    maxConnections: Number(callers),
  }),
)
const results = await Promise.all(Array.from({ length: Number(callers) }, () => meow.migrate()))
await meow.close()
console.log(JSON.stringify(results.map(({ applied }) => applied.length)))
