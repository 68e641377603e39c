/** A process that reads all events of a category once: `{ schema, category }` as JSON. Run with --trace-gc-nvp. */
import { connect } from '../../src/index.ts'
import { theWay } from './ways.ts'

const { schema, category } = JSON.parse(process.argv[2]!)
const meow = await connect(theWay({ connectionString: process.env.DATABASE_URL!, schema }))
for await (const _ of meow.iterate({ category }, { live: false }));
await meow.close()
