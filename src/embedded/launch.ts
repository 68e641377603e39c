// Starts a server and waits until it accepts connections.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { now, sleep } from '../core/clock.ts'
import { redactText } from '../core/secrets.ts'
import { findBinaries } from './binaries.ts'
import { awaitUnused, locateCluster, readLock } from './cluster.ts'
import { Guard } from './guard.ts'
import { findIdentity } from './identity.ts'
import { type EmbeddedOptions, fixedPort, serverArguments } from './options.ts'

const startTimeoutMs = 120_000 // a new cluster takes 1 s, but recovery after a crash may take long

/** Starts a server. If another program takes the free port that we found, it tries again with another port. */
export async function launch(
  options: EmbeddedOptions,
  choosePort = freePort,
): Promise<{ port: number; guard: Guard }> {
  if (process.platform === 'win32')
    throw new Error(
      'startPostgres() needs a POSIX shell, which Windows does not have: use WSL, or connect to a server that you start yourself',
    )
  const fixed = fixedPort(options)
  const binaries = await findBinaries(options.version)
  for (let triesLeft = 4; ; triesLeft--) {
    const port = fixed ?? (await choosePort())
    const settings = serverArguments(options, port)
    const cluster = await locateCluster(options.dataDir)
    const env = environment(await awaitUnused(cluster.data))
    const guard = new Guard(
      binaries,
      await findIdentity(binaries.postgres, cluster.data),
      cluster,
      settings,
      env,
    )
    if (await isReady(guard, cluster.data)) return { port, guard }
    await guard.stop()
    const portTaken = guard.output.includes('Address already in use')
    if (portTaken && fixed === undefined && triesLeft > 0) continue
    throw new Error(
      redactText(
        `PostgreSQL did not start on port ${port} with the directory ${cluster.data}; its last output:\n${guard.output}`,
      ),
    )
  }
}

/** Whether the server accepts connections, as its lock file says; pg_ctl reads the same line. */
async function isReady(guard: Guard, data: string): Promise<boolean> {
  const deadline = now() + startTimeoutMs
  while (!guard.hasEnded && now() < deadline) {
    const lock = await readLock(data)
    if (lock?.status === 'ready' && guard.started(lock.pid)) return true
    await sleep(10)
  }
  return false
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Our environment without the variables of libpq, some of which the server reads too, and with English messages. */
function environment(recycledPid: number | undefined): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { LC_ALL: 'C' }
  for (const [name, value] of Object.entries(process.env)) if (!/^(PG|LC_|LANG)/.test(name)) env[name] = value
  // PostgreSQL then does not take this process for the owner of the lock. It still checks that no shared memory is in use.
  if (recycledPid) env.PG_GRANDPARENT_PID = String(recycledPid)
  return env
}
