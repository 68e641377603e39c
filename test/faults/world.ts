import pg from 'pg'
import type { OwnServer } from '../support/own-server.ts'
import type { Random } from '../support/random.ts'
import { random } from '../support/random.ts'
import { until } from '../support/until.ts'
import type { FaultProxy } from './proxy.ts'
import { startFaultProxy } from './proxy.ts'

/** A process that faults happen to. */
export interface Victim {
  readonly pid: number
  tell(command: string): void
  signal(name: NodeJS.Signals): void
  /** Its exit code, or the signal that ended it. */
  readonly exit: number | string | undefined
  readonly exited: Promise<number | string>
}

/** What a new process is started with. */
export interface Place {
  readonly url: string
  readonly seed: number
  /** How far its wall clock is off. */
  readonly clockOffsetMs: number
}

/** A slot for an executor: its current process, and its proxy to the server. */
export interface Slot<V extends Victim = Victim> {
  readonly proxy: FaultProxy
  readonly launch: (place: Place) => V
  member: V
}

/** For the test's own connections: no setting of the server cancels their statements. */
const UNHURRIED = '-c statement_timeout=0 -c lock_timeout=0'

/** What faults happen to. */
export class World<V extends Victim = Victim> {
  readonly server: OwnServer
  readonly schema: string
  /** Connected without a proxy and kept open, so that it works even if the server accepts no more connections. */
  readonly sql: pg.Pool
  readonly slots: Slot<V>[] = []
  /** All processes that there ever were. */
  readonly members: V[] = []
  readonly writers: FaultProxy
  readonly #dice: Random
  #down = false

  private constructor(server: OwnServer, writers: FaultProxy, schema: string, seed: number) {
    this.server = server
    this.schema = schema
    this.writers = writers
    this.#dice = random(seed)
    this.sql = new pg.Pool({
      connectionString: server.connectionString,
      application_name: 'faults',
      options: UNHURRIED,
      max: 3,
      idleTimeoutMillis: 0,
      query_timeout: 10_000,
      connectionTimeoutMillis: 10_000,
    })
    this.sql.on('error', () => {})
  }

  static async make<V extends Victim>(server: OwnServer, schema: string, seed: number): Promise<World<V>> {
    return new World<V>(server, await startFaultProxy(server.connectionString), schema, seed)
  }

  /** Makes a slot for a process; by default it has its own proxy to the server. */
  async addSlot(launch: (place: Place) => V, proxy?: FaultProxy): Promise<Slot<V>> {
    const own = proxy ?? (await startFaultProxy(this.server.connectionString))
    const slot: Slot<V> = { proxy: own, launch, member: undefined as unknown as V }
    this.slots.push(slot)
    return slot
  }

  /** Starts a new process in the slot; its clock may be wrong by an hour. */
  join(slot: Slot<V>): void {
    slot.member = slot.launch({
      url: slot.proxy.url,
      clockOffsetMs: this.#dice.pick([0, 3_600_000, -3_600_000]),
      seed: this.#dice.int(0, 2 ** 32 - 1),
    })
    this.members.push(slot.member)
  }

  get proxies(): FaultProxy[] {
    return [...new Set([this.writers, ...this.slots.map(({ proxy }) => proxy)])]
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

  /** Kills the server, or stops it cleanly; returns a function that starts it again. */
  async killServer(how: 'kill' | 'stop' = 'kill'): Promise<() => Promise<void>> {
    if (this.#down) throw new Error('the server is down already')
    this.#down = true
    await this.server[how]()
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

  /** A foreign connection, directly to the server. */
  async stranger(database = 'postgres', user = 'postgres'): Promise<pg.Client> {
    const url = new URL(this.server.connectionString)
    url.pathname = `/${database}`
    url.username = user
    const client = new pg.Client({
      connectionString: url.href,
      application_name: 'stranger',
      options: UNHURRIED,
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
