// Decides which requests the studio answers.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { HttpError } from './http-error.ts'

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

/**
 * Checks where a request comes from, and its token.
 *
 * - Host: a site can let its own name point to this machine (DNS rebinding); the header Host then has that name. If we listen
 *   on every address, every address is accepted, because only names can be rebound.
 * - Origin, Sec-Fetch-Site: pages of other sites get no answer, not even pages of another port of this machine.
 * - The token is in a header that the page sets, not in a cookie. Browsers do not add that header by themselves, so a request
 *   of another site never has it. Cookies are shared between ports, so other servers of this machine would get them.
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

  /** @throws HttpError if the request cannot come from our page */
  checkSource({ headers, method }: IncomingMessage): void {
    if (!this.#isOurs(headers.host)) {
      const names = [...new Set([...LOOPBACK, this.#host])].map((name) => `${name}:${this.#port}`)
      throw new HttpError(
        403,
        `the studio is not served under the name ${headers.host ?? '(none)'}: use one of ${names.join(', ')}`,
      )
    }
    const { origin, 'sec-fetch-site': site } = headers
    const ours = `http://${headers.host}`.toLowerCase()
    if (origin !== undefined && origin.toLowerCase() !== ours)
      throw new HttpError(
        403,
        'requests from other sites are not answered: open the address of the studio itself',
      )
    if (site !== undefined && site !== 'same-origin' && site !== 'none')
      throw new HttpError(
        403,
        'links from other sites are not followed: paste the address into the address bar',
      )
    if (method === 'POST' && origin === undefined)
      throw new HttpError(403, 'a POST request needs the header Origin')
  }

  /** The token is in the header `Authorization: Bearer …`; for a GET request it may be in the address: `?token=…`. */
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

/** A host in the form for an address. */
export const inUrl = (host: string) => (isIP(host) === 6 ? `[${host}]` : host)

/** Whether only this machine can reach it. */
export const isLoopback = (host: string) =>
  host === '::1' || host.toLowerCase() === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(host)

/** Whether it stands for all addresses of the machine. */
export const isEvery = (host: string) => ['0.0.0.0', '::', '[::]'].includes(host)

const sha256 = (text: string) => createHash('sha256').update(text).digest()
