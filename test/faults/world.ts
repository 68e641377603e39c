import pg from 'pg'
import type { OwnServer } from '../support/own-server.ts'
import type { Random } from '../support/random.ts'
import { random } from '../support/random.ts'
import { until } from '../support/until.ts'
import type { ChildOptions, Member } from './member.ts'
import { startMember } from './member.ts'
import type { FaultProxy } from './proxy.ts'
import { startFaultProxy } from './proxy.ts'

/** A place in the team: the executor that has it now, and its way to the server. */
export interface Slot {
  readonly proxy: FaultProxy
  member: Member
}

/** What faults happen to. */
export class World {
  readonly server: OwnServer
  readonly schema: string
  /** Never through a proxy, and kept, so that it works where no connection is left. */
  readonly sql: pg.Pool
  readonly slots: Slot[] = []
  /** All executors that there ever were. */
  readonly members: Member[] = []
  readonly writers: FaultProxy
  /** Times that the server was killed. */
  crashes = 0
  readonly #options: Omit<ChildOptions, 'url' | 'seed' | 'clockOffsetMs'>
  readonly #dice: Random
  #down = false

  private constructor(
    server: OwnServer,
    writers: FaultProxy,
    options: Omit<ChildOptions, 'url' | 'seed' | 'clockOffsetMs'>,
    seed: number,
  ) {
    this.server = server
    this.schema = options.schema
    this.writers = writers
    this.#options = options
    this.#dice = random(seed)
    this.sql = new pg.Pool({
      connectionString: server.connectionString,
      application_name: 'faults',
      max: 3,
      idleTimeoutMillis: 0,
      query_timeout: 10_000,
      connectionTimeoutMillis: 10_000,
    })
    this.sql.on('error', () => {})
  }

  static async make(
    server: OwnServer,
    options: Omit<ChildOptions, 'url' | 'seed' | 'clockOffsetMs'>,
    { executors, seed }: { executors: number; seed: number },
  ): Promise<World> {
    const world = new World(server, await startFaultProxy(server.connectionString), options, seed)
    for (let i = 0; i < executors; i++) {
      const proxy = await startFaultProxy(server.connectionString)
      world.slots.push({ proxy, member: undefined as unknown as Member })
    }
    return world
  }

  /** A new executor takes the place; its clock may be off by an hour. */
  join(slot: Slot): void {
    slot.member = startMember({
      ...this.#options,
      url: slot.proxy.url,
      clockOffsetMs: this.#dice.pick([0, 3_600_000, -3_600_000]),
      seed: this.#dice.int(0, 2 ** 32 - 1),
    })
    this.members.push(slot.member)
  }

  get proxies(): FaultProxy[] {
    return [this.writers, ...this.slots.map(({ proxy }) => proxy)]
  }

  /** Backends, of connections that come through a proxy where one is given. */
  async backends(application: string, proxy?: FaultProxy): Promise<number[]> {
    const { rows } = await this.sql.query(
      `select pid from pg_stat_activity
       where application_name = $1 and ($2::int[] is null or client_port = any ($2)) order by pid`,
      [application, proxy?.ports ?? null],
    )
    return rows.map(({ pid }) => pid)
  }

  async terminate(pids: readonly number[]): Promise<void> {
    await this.sql.query('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [pids])
  }

  /** Kills the server; returns what starts it again. */
  async killServer(): Promise<() => Promise<void>> {
    if (this.#down) throw new Error('the server is down already')
    this.#down = true
    this.crashes++
    await this.server.kill()
    return async () => {
      await this.server.start()
      this.#down = false
    }
  }

  /** Asks until there is an answer. */
  async insist(text: string): Promise<void> {
    await until(
      () => this.sql.query(text).catch((error) => error.severity === 'ERROR' && Promise.reject(error)),
      {
        timeoutMs: 120_000,
        what: text,
      },
    )
  }

  /** A connection of a stranger's, straight to the server. */
  async stranger(database = 'postgres', user = 'postgres'): Promise<pg.Client> {
    const url = new URL(this.server.connectionString)
    url.pathname = `/${database}`
    url.username = user
    const client = new pg.Client({
      connectionString: url.href,
      application_name: 'stranger',
      connectionTimeoutMillis: 10_000,
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** Nothing is left of it. */
  async end(): Promise<void> {
    for (const member of this.members) if (member.exit === undefined) member.signal('SIGKILL')
    await Promise.all(this.members.map(({ exited }) => exited))
    for (const proxy of this.proxies) await proxy.close()
    await this.server.remove()
    await this.sql.end() // with nothing there that it could wait for
  }
}
