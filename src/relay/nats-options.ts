// The options of `natsBroker`.
import { z } from 'zod'
import { ms } from '../core/fields.ts'
import { parseSecret } from '../core/validate.ts'

/** Options of `natsBroker`: how to reach NATS, and which stream of JetStream to use. */
export interface NatsOptions {
  /** Addresses, `nats://user:password@host:port` or `tls://…`; several for one cluster. Default `nats://127.0.0.1:4222`. */
  servers?: string | readonly string[] | undefined
  /** Other options of `connect` of @nats-io/transport-node, under their names: `token`, `tls`, `authenticator` … Default: none. */
  connection?: Readonly<Record<string, unknown>> | undefined
  /** The JetStream stream that must store the messages. Default: any stream that takes their subjects. */
  stream?: string | undefined
  /** Create the stream if it does not exist; needs `stream`. You may give its settings, as JetStream names them: `{ num_replicas: 3 }`. Default false. */
  create?: boolean | Readonly<Record<string, unknown>> | undefined
  /** For how long a stream that we create drops repeated messages. In ms; default 120_000, minimum 1000. */
  duplicateWindowMs?: number | undefined
  /** Check the stream when the relay opens. Default true; use `false` for a user who may only publish. */
  check?: boolean | undefined
  /** How long to wait for an answer; then the message counts as failed and the connection is closed. In ms; default 5000, minimum 100. */
  timeoutMs?: number | undefined
}

const serverSchema = z.string().refine(isAddress, { message: 'must be an address such as nats://host:4222' })
const recordSchema = z.record(z.string(), z.unknown())

const natsFieldsSchema = z.strictObject({
  servers: z.union([serverSchema, z.array(serverSchema).min(1)]).default('nats://127.0.0.1:4222'),
  connection: recordSchema.default({}),
  stream: z
    .string()
    .regex(/^[^\s.*>/\\]{1,255}$/, 'must be 1 to 255 characters, without spaces, dots, wildcards and slashes')
    .optional(),
  create: z.union([z.boolean(), recordSchema]).default(false),
  duplicateWindowMs: ms(1_000).default(120_000),
  check: z.boolean().default(true),
  timeoutMs: ms(100).default(5_000),
})
const natsOptionsSchema = natsFieldsSchema.refine(
  ({ stream, create }) => stream !== undefined || create === false,
  {
    path: ['stream'],
    message: 'must be given if create is given: it is the name of the new stream',
  },
)

function isAddress(text: string): boolean {
  try {
    const { username, password } = toUrl(text)
    return decodeURIComponent(username + password) !== undefined // throws if a % is not the start of %XX
  } catch {
    return false
  }
}

const toUrl = (text: string) => new URL(text.includes('://') ? text : `nats://${text}`)

/** The options, complete. User and password are moved from the address to `connection`, because the client ignores them there. */
export interface NatsSettings
  extends Readonly<Omit<z.output<typeof natsOptionsSchema>, 'servers' | 'connection'>> {
  readonly servers: readonly string[]
  readonly connection: Readonly<Record<string, unknown>>
}

export function natsSettings(options: NatsOptions): NatsSettings {
  const { servers, connection, ...rest } = parseSecret(
    natsOptionsSchema,
    options,
    Object.keys(natsFieldsSchema.shape),
    ['stream'],
  )
  const urls = [servers].flat().map(toUrl)
  const hosts = urls.map(({ protocol, host }) => `${protocol}//${host}`)
  const { username, password, protocol } = urls[0]!
  const user = decodeURIComponent(username)
  const login = password ? { user, pass: decodeURIComponent(password) } : user ? { token: user } : {}
  const tls = protocol === 'tls:' ? { tls: {} } : {}
  return { ...rest, servers: hosts, connection: { ...login, ...tls, ...connection } }
}
