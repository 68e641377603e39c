// A process that runs versions of a projection: `projection-child.ts <schema> <name> <category> <expose> <version>…`. It is killed.
import { connect } from '../../src/index.ts'
import { totals } from './projections.ts'
import { databaseUrl } from './store.ts'

const [schema, name, category, expose, ...versions] = process.argv.slice(2) as string[]
const meow = await connect({
  connectionString: databaseUrl(),
  schema: schema!,
  pollIntervalMs: 50,
  logger: false,
})
for (const version of versions.map(Number))
  meow
    .projection(
      totals({ name: name!, version, category: category!, expose: expose!, batchSize: 20, leaseMs: 300 }),
    )
    .start()
console.log('running')
process.stdin.resume().on('end', () => process.exit()) // its parent is gone
