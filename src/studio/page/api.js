// Talks to the server of the studio.

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

const SILENT_MS = 15_000
const RETRY_MS = 1_000

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
 * Server-sent events, by fetch, since an EventSource sends no header. It reconnects by itself.
 *
 * @param {Record<string, string>} query
 * @param {(kind: string, value: any) => void} heard
 * @param {(error: Error | null) => void} stands null: connected
 * @returns {() => void} ends it
 */
export function live(query, heard, stands) {
  const end = new AbortController()
  const run = async () => {
    while (!end.signal.aborted) {
      const once = new AbortController()
      const stop = () => once.abort()
      end.signal.addEventListener('abort', stop)
      let silent = setTimeout(stop, SILENT_MS)
      try {
        const response = await fetch(address('/api/live', query), { headers, signal: once.signal })
        if (!response.ok) await answered(response)
        stands(null)
        await read(response.body.getReader(), (kind, value) => {
          clearTimeout(silent)
          silent = setTimeout(stop, SILENT_MS)
          heard(kind, value)
        })
        throw new Error('the studio has ended the connection')
      } catch (error) {
        if (end.signal.aborted) return
        stands(error)
        if (error.status === 401) return
      } finally {
        clearTimeout(silent)
        end.signal.removeEventListener('abort', stop)
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
  run()
  return () => end.abort()
}

async function read(reader, heard) {
  const decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const messages = (text + decoder.decode(value, { stream: true })).split('\n\n')
    text = messages.pop()
    for (const message of messages) {
      const [, kind, json] = /^event: (.*)\ndata: (.*)$/.exec(message) ?? []
      if (kind) heard(kind, JSON.parse(json))
    }
  }
}
