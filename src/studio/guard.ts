import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { Refusal } from './refusal.ts'

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

/**
 * Whom the studio answers.
 *
 * - Host: a site that has its own name point here (DNS rebinding) is told by the name. Where we listen on every address any
 *   address is right, since only names can be rebound.
 * - Origin, Sec-Fetch-Site: no page of another site gets an answer, not even of another port of this machine.
 * - The token goes in a header that the page sets, not in a cookie: browsers send no header of ours by themselves, so a
 *   request that another site causes never carries it; and cookies do not keep ports apart, so every other server of
 *   this machine that is visited would be sent it.
 */
export class Guard {
  readonly #digest: Buffer
  readonly #host: string
  readonly #port: number

  constructor(host: string, port: number, token: string) {
    this.#host = inUrl(host).toLowerCase()
    this.#port = port
    this.#digest = sha256(token)
  }

  /** @throws Refusal for a request that no page of ours can have sent */
  checkSource({ headers, method }: IncomingMessage): void {
    if (!this.#isOurs(headers.host)) {
      const names = [...new Set([...LOOPBACK, this.#host])].map((name) => `${name}:${this.#port}`)
      throw new Refusal(
        403,
        `this is not served under the name ${headers.host ?? '(none)'}: ask for one of ${names.join(', ')}`,
      )
    }
    const { origin, 'sec-fetch-site': site } = headers
    const ours = `http://${headers.host}`.toLowerCase()
    if (origin !== undefined && origin.toLowerCase() !== ours)
      throw new Refusal(403, 'requests of other sites are not answered')
    if (site !== undefined && site !== 'same-origin' && site !== 'none')
      throw new Refusal(403, 'links of other sites are not followed: paste the address into the address bar')
    if (method === 'POST' && origin === undefined) throw new Refusal(403, 'a change has to say its Origin')
  }

  /** The token is in the header `Authorization: Bearer …`, or, where nothing is changed, in the address: `?token=…`. */
  knowsToken({ headers, method }: IncomingMessage, query: URLSearchParams): boolean {
    const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
    const given = bearer ?? (method === 'POST' ? null : query.get('token'))
    return given !== null && timingSafeEqual(sha256(given), this.#digest)
  }

  #isOurs(given: string | undefined): boolean {
    const [, name, port = '80'] = /^(\[[0-9a-f:.]+\]|[^:]*)(?::(\d+))?$/i.exec(given ?? '') ?? []
    if (!name || Number(port) !== this.#port) return false
    const lower = name.toLowerCase()
    if (LOOPBACK.includes(lower) || lower === this.#host) return true
    return isEvery(this.#host) && isIP(lower.replace(/^\[|\]$/g, '')) !== 0
  }
}

/** A host as it stands in an address. */
export const inUrl = (host: string) => (isIP(host) === 6 ? `[${host}]` : host)

/** Whether nobody but this machine can reach it. */
export const isLoopback = (host: string) =>
  host === '::1' || host.toLowerCase() === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(host)

/** Whether it stands for all addresses of the machine. */
export const isEvery = (host: string) => ['0.0.0.0', '::', '[::]'].includes(host)

const sha256 = (text: string) => createHash('sha256').update(text).digest()
