// The command `serve`.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Command } from 'commander'
import { ConnectionError } from '../core/errors.ts'
import { integer, list } from './arguments.ts'
import type { Context, Run } from './context.ts'

interface Options {
  port: number
  host: string
  cors?: string[]
}

export function serve(program: Command, run: Run): void {
  program
    .command('serve')
    .description('serve the events of the store over HTTP, read only, for a first try of meowmx/client')
    .option('--port <n>', 'port; 0: any free one', integer(0, 65_535), 4718)
    .option('--host <name>', 'address of this machine to listen on', '127.0.0.1')
    .option(
      '--cors <origins>',
      'let pages of these sites read it, http://localhost:5173,…; default: none',
      list,
    )
    .addHelpText(
      'after',
      `
The printed address contains a token: with it anybody can read the whole store.
  curl '<address>/category/order?offset=-1&token=<token>'            a page from the start
  curl -N '<address>/all?offset=now&live=sse&token=<token>'          new events as they are appended
Each start makes a new token, unless MEOWMX_SERVE_TOKEN holds one; that one is not printed. It must have 16 to 200 of the
characters A-Z a-z 0-9 - . _ ~, as openssl rand -hex 16 makes them. The token may be in the header Authorization: Bearer … instead.
In an application use eventFeed of meowmx/http, which asks your code who may read what.`,
    )
    .action(run(start))
}

async function start(context: Context, { port, host, cors }: Options): Promise<void> {
  const { signal } = context
  const [{ eventFeed, toNodeListener }, { inUrl, isEvery, isLoopback }] = await Promise.all([
    import('../http/index.ts'),
    import('../studio/guard.ts'),
  ])
  const chosen = await chosenToken()
  const token = chosen ?? randomBytes(16).toString('base64url')
  const meow = await context.open({ listen: true })
  const feed = eventFeed(meow, {
    authorize: (request) => isRight(request, token),
    all: true,
    caller: () => undefined, // all have the same token
    ...(cors ? { cors: { origin: cors } } : {}),
  })
  const server = createServer(toNodeListener(feed))
  await new Promise<void>((resolve, reject) => {
    server.on('error', (error) =>
      reject(new ConnectionError(`cannot listen at ${inUrl(host)}:${port}: ${error.message}`, error)),
    )
    server.listen(port, host, resolve)
  })
  context.closing(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  if (!isLoopback(host))
    context.stderr.note(
      `meowmx: ${isEvery(host) ? 'every machine that can reach this one' : `every machine that can reach ${host}`} can ask for events, and the token is sent unencrypted`,
    )
  const at = (server.address() as AddressInfo).port
  const url = `http://${isEvery(host) ? '127.0.0.1' : inUrl(host)}:${at}/events`
  // A user that chose the token knows it, and printed text may stay in a log for long.
  const example = chosen === undefined ? `${url}/all?offset=-1&token=${token}` : `${url}/all?offset=-1`
  await context.out.say({ url, ...(chosen === undefined ? { token } : {}) }, example)
  await context.out.flush()
  if (chosen !== undefined) context.stderr.note('the token is the one in MEOWMX_SERVE_TOKEN')
  context.stderr.note('the feed is read only; Ctrl-C ends it')
  if (!signal.aborted) await once(signal, 'abort')
}

/** The token comes from the environment, because all users of the machine can see arguments. */
async function chosenToken(): Promise<string | undefined> {
  const { MEOWMX_SERVE_TOKEN: token } = process.env
  if (token === undefined) return undefined
  const [{ parse }, { studioTokenSchema }] = await Promise.all([
    import('../core/validate.ts'),
    import('../studio/options.ts'),
  ])
  return parse(studioTokenSchema, token, 'MEOWMX_SERVE_TOKEN')
}

/** Whether a request has the token, in its header or in its address. */
function isRight(request: Request, token: string): boolean {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get('Authorization') ?? '')?.[1]
  const given = bearer ?? new URL(request.url).searchParams.get('token') ?? ''
  return timingSafeEqual(digest(given), digest(token))
}

const digest = (text: string) => createHash('sha256').update(text).digest()
