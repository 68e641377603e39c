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
the same token as a bearer token, or as ?token=… in the address.`,
    )
    .action(
      run(async (context, options: Options) => {
        const { signal } = context
        const meow = await context.open({ listen: true })
        const { startStudio } = await import('../studio.ts')
        const { isEvery, isLoopback } = await import('../studio/guard.ts')
        const { port, host, write = false, title = titleOf(context) } = options
        const page = await startStudio(meow, { port, host, write, title })
        context.closing(page.close)
        if (!isLoopback(host))
          context.talk.note(
            `meowmx: ${isEvery(host) ? 'every machine that reaches this one' : `whoever reaches ${host}`} can ask for the page, and the token travels unencrypted`,
          )
        await context.out.say({ url: page.url, write }, page.url)
        await context.out.flush()
        context.talk.note(`${write ? 'parked events can be replayed' : 'read only'}; Ctrl-C ends it`)
        if (!signal.aborted) await once(signal, 'abort')
      }),
    )
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
