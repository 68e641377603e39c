import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'
import { freePort } from './pgbouncer.ts'
import { until } from './until.ts'

/** A nats-server of our own, with JetStream in a directory of its own. */
export interface Nats {
  readonly url: string
  /** kill -9. */
  kill(): Promise<void>
  /**
   * On the same port and directory; `config`: lines of its configuration from now on; `login`: the login for the check whether
   * it answers.
   */
  start(config?: string, login?: string): Promise<void>
  stop(): Promise<void>
}

/** A message as it lies in a stream. */
export interface Stored {
  readonly seq: number
  readonly subject: string
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

/** The path of the program; undefined if it is not installed. */
export function findNats(): string | undefined {
  const places = [...(process.env.PATH ?? '').split(':'), '/usr/sbin'] // Debian's place, where ordinary users don't look
  return places.map((place) => join(place, 'nats-server')).find((path) => existsSync(path))
}

export async function startNats(program: string): Promise<Nats> {
  const dir = await mkdtemp(join(tmpdir(), 'meowmx-nats-'))
  const file = join(dir, 'config')
  const port = await freePort()
  const url = `nats://127.0.0.1:${port}`
  let server: ReturnType<typeof spawn> | undefined
  let settings = ''
  const kill = async () => {
    if (server?.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, 'exit')
    server.kill('SIGKILL')
    await ended
  }
  const start = async (config = settings, login = '') => {
    const [user, pass] = login.split(':')
    settings = config
    await writeFile(file, config)
    const args = ['-c', file, '-a', '127.0.0.1', '-p', String(port), '-js', '-sd', dir]
    server = spawn(program, args, { stdio: 'ignore' })
    const answers = () =>
      connect({ servers: url, reconnect: false, ...(user && pass ? { user, pass } : {}) })
        .then((connection) => jetstreamManager(connection).finally(() => connection.close()))
        .then(
          () => true,
          () => false,
        )
    await until(answers, { what: 'nats-server' })
  }
  await start()
  return {
    url,
    kill,
    start,
    stop: async () => {
      await kill()
      await rm(dir, { recursive: true })
    },
  }
}

/** The messages in a stream, read by a connection of its own. */
export async function readStream({ url }: Pick<Nats, 'url'>, stream: string): Promise<Stored[]> {
  return withStreams(url, async (streams, connection) => {
    const { state } = await streams.info(stream)
    const stored: Stored[] = []
    const subscription = connection.subscribe(`replay.${stream}.${state.last_seq}`)
    const manager = await jetstreamManager(connection)
    await manager.consumers.add(stream, { deliver_subject: subscription.getSubject(), ack_policy: 'none' })
    if (state.messages === 0) return stored
    for await (const message of subscription) {
      const seq = Number(message.reply!.split('.').at(-4))
      const headers = Object.fromEntries(
        message.headers!.keys().map((key) => [key, message.headers!.get(key)]),
      )
      stored.push({ seq, subject: message.subject, body: message.string(), headers })
      if (stored.length === state.messages) break
    }
    return stored
  })
}

export const countOf = ({ url }: Nats, stream: string): Promise<number> =>
  withStreams(url, async (streams) => (await streams.info(stream)).state.messages)

export const addStream = ({ url }: Nats, config: Partial<StreamConfig> & { name: string }) =>
  withStreams(url, (streams) => streams.add(config))

export const deleteStream = ({ url }: Nats, name: string) =>
  withStreams(url, (streams) => streams.delete(name))

export async function withStreams<T>(
  url: string,
  use: (streams: JetStreamManager['streams'], connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const connection = await connect({ servers: url, reconnect: false })
  try {
    return await use((await jetstreamManager(connection)).streams, connection)
  } finally {
    await connection.close()
  }
}
