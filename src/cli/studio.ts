// The command `studio`.
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
    .description(
      'serve a web page that shows the store live: events, streams, subscriptions, projections, timers',
    )
    .option('--port <n>', 'port; 0: any free one', integer(), 4717)
    .option('--host <name>', 'address of this machine to listen on', '127.0.0.1')
    .option('--write', 'allow the page to change subscriptions, parked events, projections and timers')
    .option('--title <text>', 'name of the store on the page; default: its database and schema')
    .addHelpText(
      'after',
      `
The printed address contains a token: with it anybody can read the whole store. Prometheus reads /metrics with the same token,
as a bearer token or as ?token=… in the address.
Each start makes a new token, unless MEOWMX_STUDIO_TOKEN holds one; that one is not printed. It must have 16 to 200 of the
characters A-Z a-z 0-9 - . _ ~, as openssl rand -hex 16 makes them.`,
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
          context.stderr.note(
            `meowmx: ${isEvery(host) ? 'every machine that can reach this one' : `every machine that can reach ${host}`} can ask for the page, and the token is sent unencrypted`,
          )
        // A user that chose the token knows it, and printed text may stay in a log for long.
        const url = token === undefined ? page.url : new URL('/', page.url).href
        await context.out.say({ url, write }, url)
        await context.out.flush()
        if (token !== undefined) context.stderr.note('the token is the one in MEOWMX_STUDIO_TOKEN')
        context.stderr.note(
          `${write ? 'the page can change subscriptions, parked events, projections and timers' : 'the page is read only'}; Ctrl-C ends the studio`,
        )
        if (!signal.aborted) await once(signal, 'abort')
      }),
    )
}

/** The token comes from the environment, because all users of the machine can see arguments. */
async function chosenToken(): Promise<string | undefined> {
  const { MEOWMX_STUDIO_TOKEN: token } = process.env
  if (token === undefined) return undefined
  const [{ parse }, { studioTokenSchema }] = await Promise.all([
    import('../core/validate.ts'),
    import('../studio/options.ts'),
  ])
  return parse(studioTokenSchema, token, 'MEOWMX_STUDIO_TOKEN')
}

/** The database and the schema, without a password. */
function titleOf({ options: { embedded, url = process.env.DATABASE_URL, schema } }: Context): string {
  const database = embedded === undefined ? databaseOf(url) : 'embedded'
  return (schema === 'meowmx' ? database : `${database} ${schema}`).slice(0, 100)
}

function databaseOf(url: string | undefined): string {
  if (!url || !URL.canParse(url)) return process.env.PGDATABASE || 'store'
  const { hostname, pathname } = new URL(url)
  return `${hostname}${decodeURI(pathname)}`
}
