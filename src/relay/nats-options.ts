import { z } from 'zod'
import { ms } from '../core/fields.ts'
import { parseSecret } from '../core/validate.ts'

/** How to reach NATS, and which stream of JetStream. */
export interface NatsOptions {
  /** `nats://user:password@host:port`, `tls://…`; several of one cluster. Default `nats://127.0.0.1:4222`. */
  servers?: string | readonly string[] | undefined
  /** All else that `connect` of @nats-io/transport-node takes, by its names: `token`, `tls`, `authenticator` … */
  connection?: Readonly<Record<string, unknown>> | undefined
  /** The JetStream stream that has to take the messages. Default: whichever takes their subjects. */
  stream?: string | undefined
  /** Make the stream where there is none; with `stream` alone. Its settings by JetStream's names: `{ num_replicas: 3 }`. Default false. */
  create?: boolean | Readonly<Record<string, unknown>> | undefined
  /** For how long a stream that is made drops what comes again. In ms; default 120_000, minimum 1000. */
  duplicateWindowMs?: number | undefined
  /** Look at the stream first. Default true; `false` for a user who may publish, and no more. */
  check?: boolean | undefined
  /** An answer that takes longer counts as lost, and its connection with it. In ms; default 5000, minimum 100. */
  timeoutMs?: number | undefined
}

const server = z.string().refine(isAddress, { message: 'must be an address such as nats://host:4222' })
const record = z.record(z.string(), z.unknown())

const natsFields = z.strictObject({
  servers: z.union([server, z.array(server).min(1)]).default('nats://127.0.0.1:4222'),
  connection: record.default({}),
  stream: z
    .string()
    .regex(/^[^\s.*>/\\]{1,255}$/, 'must be without blanks, dots, wildcards and slashes')
    .optional(),
  create: z.union([z.boolean(), record]).default(false),
  duplicateWindowMs: ms(1_000).default(120_000),
  check: z.boolean().default(true),
  timeoutMs: ms(100).default(5_000),
})
const natsOptions = natsFields.refine(({ stream, create }) => stream !== undefined || create === false, {
  path: ['stream'],
  message: 'must be given where it is to be created',
})

function isAddress(text: string): boolean {
  try {
    const { username, password } = toUrl(text)
    return decodeURIComponent(username + password) !== undefined // which throws where a % stands for itself
  } catch {
    return false
  }
}

const toUrl = (text: string) => new URL(text.includes('://') ? text : `nats://${text}`)

/** How to reach NATS, complete: a user and a password in an address are taken out of it, which the client does not. */
export interface NatsSettings extends Readonly<Omit<z.output<typeof natsOptions>, 'servers' | 'connection'>> {
  readonly servers: readonly string[]
  readonly connection: Readonly<Record<string, unknown>>
}

export function natsSettings(options: NatsOptions): NatsSettings {
  const { servers, connection, ...rest } = parseSecret(natsOptions, options, Object.keys(natsFields.shape), [
    'stream',
  ])
  const urls = [servers].flat().map(toUrl)
  const hosts = urls.map(({ protocol, host }) => `${protocol}//${host}`)
  const { username, password, protocol } = urls[0]!
  const user = decodeURIComponent(username)
  const login = password ? { user, pass: decodeURIComponent(password) } : user ? { token: user } : {}
  const tls = protocol === 'tls:' ? { tls: {} } : {}
  return { ...rest, servers: hosts, connection: { ...login, ...tls, ...connection } }
}
