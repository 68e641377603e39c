import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withStreams } from './nats.ts'
import { freePort } from './pgbouncer.ts'
import { until } from './until.ts'

/** Three nats-servers on loopback that form a cluster. */
export interface NatsCluster {
  readonly urls: readonly string[]
  /** kill -9 of the server that leads the stream; returns its number. */
  killLeader(stream: string): Promise<number>
  start(server: number): Promise<void>
  stop(): Promise<void>
}

export async function startCluster(program: string): Promise<NatsCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'meowmx-cluster-'))
  const ports: number[] = []
  while (ports.length < 6) {
    const port = await freePort()
    if (!ports.includes(port)) ports.push(port)
  }
  const [clients, routes] = [ports.slice(0, 3), ports.slice(3)]
  const urls = clients.map((port) => `nats://127.0.0.1:${port}`)
  const servers: ReturnType<typeof spawn>[] = []
  const start = async (n: number) => {
    const file = join(dir, `${n}.conf`)
    await writeFile(
      file,
      `server_name: n${n}
listen: 127.0.0.1:${clients[n]}
jetstream { store_dir: ${JSON.stringify(join(dir, `data${n}`))} }
cluster {
  name: meowmx
  listen: 127.0.0.1:${routes[n]}
  routes: [${routes.map((port) => `nats-route://127.0.0.1:${port}`).join(', ')}]
}
`,
    )
    servers[n] = spawn(program, ['-c', file], { stdio: 'ignore' })
  }
  const kill = async (server: ReturnType<typeof spawn> | undefined) => {
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, 'exit')
    server.kill('SIGKILL')
    await ended
  }
  await Promise.all([0, 1, 2].map(start))
  // The cluster works when it can make a stream with three replicas.
  const works = () =>
    withStreams(urls[0]!, async (streams) => {
      await streams.add({ name: 'probe', subjects: ['probe'], num_replicas: 3 })
      await streams.delete('probe')
      return true
    }).catch(() => false)
  await until(works, { timeoutMs: 30_000, what: 'a cluster of nats-servers' })
  return {
    urls,
    start,
    killLeader: async (stream) => {
      let leader: string | undefined
      const find = async () => {
        for (const url of urls) {
          const info = await withStreams(url, (streams) => streams.info(stream)).catch(() => undefined)
          leader = info?.cluster?.leader
          if (leader) return true
        }
        return false
      }
      await until(find, { timeoutMs: 20_000, what: 'a leader' })
      const n = Number(leader!.slice(1))
      await kill(servers[n])
      return n
    },
    stop: async () => {
      await Promise.all(servers.map(kill))
      await rm(dir, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
