// A process that runs the process manager and fires timers until it is killed.
import { connect } from '../../src/index.ts'
import type { Run } from './process-rules.ts'
import { ringer } from './process-rules.ts'

const { connectionString, schema, run } = JSON.parse(process.argv[2]!) as {
  connectionString: string
  schema: string
  run: Run
}
const meow = await connect({ connectionString, schema, maxConnections: 4, logger: false as never })
await meow.runProcessManager({ ...ringer(run), batchSize: 20, leaseMs: 300 }).ready
process.stdout.write('ready\n')
