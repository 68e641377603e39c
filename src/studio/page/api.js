// Talks to the server of the studio.

import { listen, untilDone } from './client/connection.js'
import { inTurns } from './client/seats.js'

// The token comes in the address. It is moved at once to the memory of this tab, which survives a reload and which no other
// site and no other port of this machine can read. Requests send it in a header.
const KEY = 'meowmx.studio.token'
const here = new URL(location.href)
if (here.searchParams.has('token')) {
  sessionStorage.setItem(KEY, here.searchParams.get('token'))
  here.searchParams.delete('token')
  history.replaceState(null, '', here)
}

/** Keeps a token that was typed in. */
export const keepToken = (token) => sessionStorage.setItem(KEY, token)

const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ''}` }

const LIVE = '/api/live'

export class ApiError extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

async function answered(response) {
  const body = await response.json().catch(() => ({ error: response.statusText }))
  if (!response.ok) throw new ApiError(response.status, body.error)
  return body
}

const address = (path, query) => `${path}?${new URLSearchParams(query)}`

export const get = async (path, query = {}) => answered(await fetch(address(path, query), { headers }))

export const post = async (path, body) =>
  answered(
    await fetch(path, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    }),
  )

/**
 * What the studio tells, read as `meowmx/client` reads a feed: it reconnects by itself, and of many tabs those that are looked at
 * are connected.
 *
 * @param {Record<string, string>} query
 * @param {(kind: string, value: any) => void} heard
 * @param {(error: Error | null) => void} stands null: connected
 * @returns {() => void} ends it
 */
export function live(query, heard, stands) {
  const end = new AbortController()
  const { signal } = end
  const status = {
    set: (state, cause) => signal.aborted || stands(state === 'live' ? null : cause),
    end: () => {},
  }
  const transport = { fetch: (...given) => fetch(...given), headers }
  const once = (own) => async (progress) => {
    const opened = () => status.set('live')
    await listen(transport, address(LIVE, query), own, opened, ({ kind, data }) => {
      progress()
      if (!signal.aborted) heard(kind, JSON.parse(data))
    })
    return false
  }
  inTurns(LIVE, signal, {
    stream: (own) => untilDone(once(own), status, own),
    poll: async () => stands(new Error('four other tabs of this browser are connected; close one')),
  }).catch(async (error) => {
    if (signal.aborted) return
    // The message of the server says where the token is.
    stands(
      error.status === 401
        ? await get('/api/hello').then(
            () => error,
            (told) => told,
          )
        : error,
    )
  })
  return () => end.abort()
}
