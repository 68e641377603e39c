import pg from 'pg'
import { startPostgres } from '../src/embedded.ts'
import { connect } from '../src/index.ts'
import { crowds } from './siege/scale/crowds.ts'
import { fill, sizeOf } from './siege/scale/fill.ts'
import { row } from './siege/report.ts'
const s = await startPostgres({ settings: { fsync: false, max_connections: 300, max_locks_per_transaction: 256 } })
const sql = new pg.Pool({ connectionString: s.connectionString, max: 2 })
const meow = await connect({ connectionString: s.connectionString, schema: 'big', queryTimeoutMs: 120000 }); await meow.migrate()
const size = sizeOf(20000); await fill(sql, 'big', size)
const store = { meow, sql, schema: 'big', size }
for (const c of [crowds[0]!, crowds[4]!, crowds[1]!]) try { for await (const f of c(store, s.connectionString)) console.log(row(f)) } catch (e) { console.log(`${e}`) }
await meow.close(); await sql.end(); await s.stop()
