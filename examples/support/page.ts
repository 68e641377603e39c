// What pages without a build step need: a server for the page, for RxJS and for the client of meowmx as they are.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { toNodeListener } from 'meowmx/http'

const RXJS = import.meta.resolve('rxjs/package.json').replace('package.json', 'dist/bundles/rxjs.umd.min.js')
const CLIENT = import.meta.resolve('meowmx/client')

/** Answers what the page loads, by its path; `page` is what `/` shows. */
export async function pageFile(page: URL, path: string): Promise<Response> {
  const [, module] = /^\/client\/([\w-]+\.js)$/.exec(path) ?? []
  const script = module ? new URL(module, CLIENT) : path === '/rxjs.umd.js' ? RXJS : undefined
  const place = script ?? (path === '/' ? page : undefined)
  if (!place) return new Response('not found', { status: 404 })
  const headers = { 'Content-Type': script ? 'text/javascript' : 'text/html' }
  return new Response(await readFile(fileURLToPath(place)), { headers })
}

/** Serves until it is closed, which cuts all connections. */
export async function serve(answer: (request: Request) => Promise<Response> | Response, port: number) {
  const server = createServer(toNodeListener(async (request) => answer(request)))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      return closed
    },
  }
}
