/** Reading ended with an error that a retry would not mend. */
export class RemoteError extends Error {
  /**
   * Stable across versions. `ERR_REMOTE_DENIED`: status 401 or 403, also with fresh headers. `ERR_REMOTE_HISTORY_LOST`: the store
   * does not have the position any more, read again from the start. `ERR_REMOTE_REFUSED`: another status, such as 400 or 404.
   * `ERR_REMOTE_INPUT`: an argument is invalid.
   */
  readonly code: 'ERR_REMOTE_DENIED' | 'ERR_REMOTE_HISTORY_LOST' | 'ERR_REMOTE_REFUSED' | 'ERR_REMOTE_INPUT'
  /** The status of the response; undefined if there was none. */
  readonly status: number | undefined

  constructor(code: RemoteError['code'], message: string, status?: number) {
    super(message)
    this.name = 'RemoteError'
    this.code = code
    this.status = status
  }
}

/** The error of a response that a retry would not change. */
export async function refused(response: Response): Promise<RemoteError> {
  const { status } = response
  const text = await response.text().catch(() => '')
  let detail = ''
  try {
    detail = String(JSON.parse(text).detail ?? '')
  } catch {
    // it is not from a feed
  }
  const code =
    status === 401 || status === 403
      ? 'ERR_REMOTE_DENIED'
      : status === 410
        ? 'ERR_REMOTE_HISTORY_LOST'
        : 'ERR_REMOTE_REFUSED'
  return new RemoteError(code, `the feed answered with status ${status}${detail && `: ${detail}`}`, status)
}

/** Whether a later request may be answered. Status 408 and 429 are not about the request itself. */
export const mayPass = (status: number): boolean => status >= 500 || status === 408 || status === 429
