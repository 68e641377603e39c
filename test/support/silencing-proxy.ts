import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import type { TransformCallback } from 'node:stream'
import { Transform } from 'node:stream'

/** A way to the server on which queries are answered, while notifications can be lost, as in a pooler that shares connections. */
export async function startSilencingProxy(
  target: string,
): Promise<{ url: string; silent: boolean; close(): void }> {
  const to = new URL(target)
  const proxy = { url: '', silent: false, close: () => void server.close() }
  const server = createServer((inward) => {
    const outward = connect(Number(to.port || 5432), to.hostname)
    inward.pipe(outward)
    outward.pipe(new Filter(() => proxy.silent)).pipe(inward)
    for (const [one, other] of [
      [inward, outward],
      [outward, inward],
    ] as const)
      one
        .unref()
        .on('error', () => {})
        .on('close', () => other.destroy())
  })
    .listen(0, '127.0.0.1')
    .unref()
  await once(server, 'listening')
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  proxy.url = url.href
  return proxy
}

/** The server's messages (a letter, four bytes of length, that many less four), without the notifications ('A'). */
class Filter extends Transform {
  readonly #silent: () => boolean
  #rest = Buffer.alloc(0)

  constructor(silent: () => boolean) {
    super()
    this.#silent = silent
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    let rest = Buffer.concat([this.#rest, chunk])
    while (rest.length >= 5 && rest.length > rest.readUInt32BE(1)) {
      const end = rest.readUInt32BE(1) + 1
      if (!(this.#silent() && rest[0] === 'A'.charCodeAt(0))) this.push(rest.subarray(0, end))
      rest = rest.subarray(end)
    }
    this.#rest = rest
    done()
  }
}
