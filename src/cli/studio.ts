import { once } from 'node:events'
import type { Command } from 'commander'
import { integer } from './arguments.ts'
import type { Context, Run } from './context.ts'

interface Options {
  port: number
  host: string
  write?: true
  title?: string
}

export function studio(program: Command, run: Run): void {
  program
    .command('studio')
    .description('a web page of the store, live: events, streams, subscriptions, what is parked')
    .option('--port <n>', '0: any free one', integer(), 4717)
    .option('--host <name>', 'an address of this machine', '127.0.0.1')
    .option('--write', 'parked events can be replayed; else nothing can be changed')
    .option('--title <text>', 'what the page calls the store; default: its database and schema')
    .addHelpText(
      'after',
      `
The address that is printed holds a token: whoever has it can read the whole store. /metrics is for Prometheus, which takes
the same token as a bearer token, or as ?token=… in the address.
Each start makes another token, unless MEOWMX_STUDIO_TOKEN holds one, which is not printed: 16 to 200 of the characters
A-Z a-z 0-9 - . _ ~, as of openssl rand -hex 16.`,
    )
    .action(
      run(async (context, options: Options) => {
        const { signal } = context
        const token = await chosenToken()
        const meow = await context.open({ listen: true })
        const { startStudio } = await import('../studio/index.ts')
        const { isEvery, isLoopback } = await import('../studio/guard.ts')
        const { port, host, write = false, title = titleOf(context) } = options
        const page = await startStudio(meow, {
          port,
          host,
          write,
          title,
          ...(token === undefined ? {} : { token }),
        })
        context.closing(page.close)
        if (!isLoopback(host))
          context.talk.note(
            `meowmx: ${isEvery(host) ? 'every machine that reaches this one' : `whoever reaches ${host}`} can ask for the page, and the token travels unencrypted`,
          )
        // Who chose the token knows it; what is printed may be kept for long, in a log.
        const url = token === undefined ? page.url : new URL('/', page.url).href
        await context.out.say({ url, write }, url)
        await context.out.flush()
        if (token !== undefined) context.talk.note('the token is that of MEOWMX_STUDIO_TOKEN')
        context.talk.note(`${write ? 'parked events can be replayed' : 'read only'}; Ctrl-C ends it`)
        if (!signal.aborted) await once(signal, 'abort')
      }),
    )
}

/** From the environment: arguments are seen by all users of the machine. */
async function chosenToken(): Promise<string | undefined> {
  const { MEOWMX_STUDIO_TOKEN: token } = process.env
  if (token === undefined) return undefined
  const [{ parse }, { studioToken }] = await Promise.all([
    import('../core/validate.ts'),
    import('../studio/options.ts'),
  ])
  return parse(studioToken, token, 'MEOWMX_STUDIO_TOKEN')
}

/** The database and the schema; never a password. */
function titleOf({ options: { embedded, url = process.env.DATABASE_URL, schema } }: Context): string {
  const database = embedded === undefined ? databaseOf(url) : 'embedded'
  return (schema === 'meowmx' ? database : `${database} ${schema}`).slice(0, 100)
}

function databaseOf(url: string | undefined): string {
  if (!url || !URL.canParse(url)) return process.env.PGDATABASE || 'store'
  const { hostname, pathname } = new URL(url)
  return `${hostname}${decodeURI(pathname)}`
}
