import { request } from 'node:http'
import { startPostgres } from '../../src/embedded/index.ts'

export interface TestServer {
  readonly connectionString: string
  /** Stops what was started; a server of others is left alone. */
  stop(): Promise<void>
  readonly kind: 'external' | 'docker' | 'embedded'
}

/**
 * A PostgreSQL for demo and tests: that of `DATABASE_URL`, else a container where a Docker engine answers, else embedded
 * binaries (at once with `MEOWMX_PG=embedded`). Throw-away, so without fsync, unless `durable` is true (default false):
 * wherever a figure matters.
 */
export async function testServer({ durable = false }: { durable?: boolean } = {}): Promise<TestServer> {
  const url = process.env.DATABASE_URL
  if (url) return { connectionString: url, stop: async () => {}, kind: 'external' }
  const settings = { max_connections: 200, ...(durable ? {} : { fsync: false }) }
  if (process.env.MEOWMX_PG !== 'embedded' && (await dockerAnswers())) {
    try {
      return await startContainer(settings)
    } catch (error) {
      console.warn(`Docker answers, but runs no PostgreSQL (${(error as Error).message}): embedded instead`)
    }
  }
  return { ...(await startPostgres({ settings })), kind: 'embedded' }
}

async function startContainer(settings: Record<string, unknown>): Promise<TestServer> {
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const container = await new PostgreSqlContainer('postgres:17-alpine')
    .withCommand(['postgres', ...args])
    .start()
  return {
    connectionString: container.getConnectionUri(),
    stop: async () => void (await container.stop()),
    kind: 'docker',
  }
}

/** Asks the engine itself: the docker command may exist without one. */
function dockerAnswers(): Promise<boolean> {
  const host = new URL(process.env.DOCKER_HOST || 'unix:///var/run/docker.sock')
  const where =
    host.protocol === 'unix:'
      ? { socketPath: host.pathname }
      : { host: host.hostname, port: host.port || 2375 }
  const signal = AbortSignal.timeout(1500)
  return new Promise((resolve) => {
    request({ ...where, path: '/_ping', signal }, (response) =>
      resolve(response.destroy().statusCode === 200),
    )
      .on('error', () => resolve(false))
      .end()
  })
}
