// Which readers of a browser keep an event stream open. Over HTTP/1.1 a browser opens six connections to a host, for all tabs
// together, and further requests wait: six streams would make every tab stand still. So at most four streams are open at the
// same time. The other readers ask for pages: when a reader of the same selection has got something, and every now and then.
//
//     seat free? -> stream, until a visible tab wants the seat of this hidden one -> poll
//     no seat    -> poll, wait for a sign of another tab or some seconds, look for a seat again
//
// Tabs tell each other only that something has come, and for which address: each reads with its own credentials.
import { after } from './clock.ts'

const SEATS = 4
/** How long a reader without a seat waits before it asks again, in ms: a visible tab, a hidden one, and one that will be told. */
const VISIBLE_MS = 2_000
const HIDDEN_MS = 10_000
const TOLD_MS = 10_000

/** What a browser offers. `locks` only exists in pages of https or localhost; a worker has no document. */
interface Browser {
  readonly location?: { readonly href: string }
  readonly navigator?: { readonly locks?: Locks }
  readonly document?: EventTarget & { readonly visibilityState: string }
  readonly BroadcastChannel?: new (name: string) => Channel
  readonly performance: { getEntriesByType(type: string): { name: string; nextHopProtocol?: string }[] }
}
interface Locks {
  request(
    name: string,
    options: { ifAvailable: boolean },
    use: (lock: unknown) => Promise<void> | undefined,
  ): Promise<unknown>
}
interface Channel {
  onmessage: ((event: { data: Sign }) => void) | null
  postMessage(sign: Sign): void
  close(): void
}
/**
 * What tabs tell each other. Of a host: `wanted`, `free`: a seat. Of an address: `news`: something has come; `told?`: is there a
 * reader that will tell of news; `told`: there is.
 */
interface Sign {
  readonly what: 'wanted' | 'free' | 'news' | 'told?' | 'told'
  readonly of: string
}

/** How one reader reads. */
export interface Ways {
  /** Reads an event stream until the signal aborts or it fails. It calls `news` when something has come. */
  stream(signal: AbortSignal, news: () => void): Promise<void>
  /** Reads what there is. */
  poll(): Promise<void>
}

/** Reads in the way that there is room for, until the signal aborts or an error comes that no retry would mend. */
export async function inTurns(url: string, signal: AbortSignal, { stream, poll }: Ways): Promise<void> {
  const browser = globalThis as unknown as Browser
  const { location, document, BroadcastChannel } = browser
  const locks = browser.navigator?.locks
  if (!location || !BroadcastChannel || !(locks || document)) return stream(signal, () => {})
  const address = new URL(url, location.href)
  if (hasManyStreams(browser, address.origin)) return stream(signal, () => {})

  const channel = new BroadcastChannel('meowmx')
  const tell = (what: Sign['what']) =>
    channel.postMessage({ what, of: ['wanted', 'free'].includes(what) ? address.origin : address.href })
  const isHidden = () => document?.visibilityState === 'hidden'
  let missed = false // news came while nobody waited for them
  const noted = (what: Sign['what']) => {
    if (what === 'news') missed = true
  }
  let heard = noted
  channel.onmessage = ({ data: { what, of } }) => {
    if (of === address.origin || of === address.href) heard(what)
  }
  const changed = () => heard('free') // perhaps it is visible now
  document?.addEventListener('visibilitychange', changed)

  /** Waits until it is time to look again. */
  const wait = () =>
    new Promise<void>((resolve) => {
      const done = () => {
        cancel()
        heard = noted
        signal.removeEventListener('abort', done)
        resolve()
      }
      const again = (ms: number) => after(ms * (0.75 + Math.random() / 2), done)
      let cancel = again(isHidden() ? HIDDEN_MS : VISIBLE_MS)
      heard = (what) => {
        if (what === 'news' || (what === 'free' && !isHidden())) done()
        if (what !== 'told') return
        cancel()
        cancel = again(TOLD_MS)
      }
      signal.addEventListener('abort', done)
      if (signal.aborted || missed) return done()
      tell('told?')
      if (!isHidden()) tell('wanted')
    })

  /** Streams until another tab needs the seat more. */
  const sit = async () => {
    const stop = new AbortController()
    const leave = () => stop.abort()
    signal.addEventListener('abort', leave)
    heard = (what) => {
      if (what === 'told?') tell('told')
      // Without locks nobody counts the streams: only visible tabs have one.
      if (isHidden() && (what === 'wanted' || !locks)) leave()
    }
    try {
      await stream(stop.signal, () => tell('news'))
    } catch (error) {
      if (signal.aborted || !stop.signal.aborted) throw error
    } finally {
      heard = noted
      signal.removeEventListener('abort', leave)
      stop.abort()
    }
  }

  try {
    for (;;) {
      const free = locks ? await seat(locks, address.origin) : isHidden() ? undefined : () => {}
      if (free)
        try {
          await sit()
        } finally {
          free()
          tell('free')
        }
      if (signal.aborted) throw signal.reason
      missed = false
      await poll()
      await wait()
      if (signal.aborted) throw signal.reason
    }
  } finally {
    document?.removeEventListener('visibilitychange', changed)
    channel.close()
  }
}

/** Whether the host is known to speak HTTP/2 or 3, with which a browser has many streams in one connection. */
const hasManyStreams = ({ performance }: Browser, origin: string): boolean =>
  ['navigation', 'resource'].some((type) =>
    performance
      .getEntriesByType(type)
      .some(
        ({ name, nextHopProtocol = '' }) => name.startsWith(`${origin}/`) && /^h[23]/.test(nextHopProtocol),
      ),
  )

/** Takes a free seat; the returned function frees it. Undefined: there is none. The browser frees those of a tab that is closed. */
async function seat(locks: Locks, origin: string): Promise<(() => void) | undefined> {
  for (let n = 0; n < SEATS; n++) {
    const free = await new Promise<(() => void) | undefined>((resolve) => {
      const use = (lock: unknown) =>
        lock ? new Promise<void>((leave) => resolve(leave)) : void resolve(undefined)
      locks.request(`meowmx ${n} ${origin}`, { ifAvailable: true }, use).catch(() => resolve(() => {})) // it may not use locks
    })
    if (free) return free
  }
  return undefined
}
