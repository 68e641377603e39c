import type pg from 'pg'
import { now, sleep } from '../core/clock.ts'
import type { Deadline } from '../core/deadlines.ts'
import { Deadlines } from '../core/deadlines.ts'
import type { Row } from './bounded-rows.ts'
import { BoundedRows } from './bounded-rows.ts'
import { cancel } from './cancel.ts'
import { QUERY_TIMEOUT } from './failures.ts'
import type { FastClient, QuerySpec } from './fast-query.ts'
import { isFast, mayCancel, sendFast, sentQueries } from './fast-query.ts'
import { mayBeNamed, noteLostStatement } from './lost-statements.ts'
import { sessionError, watchErrors } from './session.ts'

const deadlines = new Deadlines()

/**
 * Runs one query and rejects if it takes longer than `timeoutMs`. `answer` limits the bytes of rows that are kept. It runs as
 * a fast query on our own connections, and as a query of pg on others.
 */
export function runQuery(
  client: pg.ClientBase,
  spec: QuerySpec,
  timeoutMs: number,
  answer = new BoundedRows(),
): Promise<Row[]> {
  const asked = mayBeNamed(client) ? spec : { ...spec, name: undefined }
  return isFast(client)
    ? runFastQuery(client, asked, timeoutMs, answer)
    : runPlainQuery(client, asked, timeoutMs, answer)
}

function runFastQuery(
  client: FastClient,
  asked: QuerySpec,
  timeoutMs: number,
  answer: BoundedRows,
): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    const deadline: Deadline = {
      due: now() + timeoutMs,
      onMissed: async () => {
        await cancelAndStopReading(client, timeoutMs)
        reject(new Error(QUERY_TIMEOUT))
        client.connection.stream.destroy() // as pg does: the queries after this one would wait as long
      },
    }
    deadlines.add(deadline)
    try {
      sendFast(client, asked, answer, (error, result) => {
        if (error)
          return void sessionError(client, error).then((failure) => {
            deadlines.delete(deadline)
            reject(noteLostStatement(failure as Error, client, asked))
          })
        deadlines.delete(deadline)
        if (result !== answer) answer.addAll(result!.rows) // pg ran it as its own query
        resolve(answer.rows)
      })
    } catch (error) {
      deadlines.delete(deadline) // a lent client that was revoked
      reject(error)
    }
  })
}

/** Runs a query by pg. If a caller's own queries are ahead of it in the connection's queue, only pg can remove a late query. */
async function runPlainQuery(
  client: pg.ClientBase,
  asked: QuerySpec,
  timeoutMs: number,
  answer: BoundedRows,
): Promise<Row[]> {
  watchErrors(client)
  // `commits` is for our own clients (servers.ts); pg ignores it.
  const query = { ...asked, rowMode: 'array', types: answer.types, query_timeout: timeoutMs }
  const waits = sentQueries(client).length > 0
  const answering = client.query<string[]>(query as unknown as pg.QueryArrayConfig)
  const own = waits ? undefined : sentQueries(client)[0]
  try {
    answer.addAll((await answering).rows)
    return answer.rows
  } catch (error) {
    const isLate = (error as Error).message === QUERY_TIMEOUT
    // Reject after the query is cancelled, so that the cancellation can't hit the next query on this connection.
    if (isLate && own && !asked.commits && sentQueries(client)[0] === own)
      await cancel(client, cancelTimeoutMs(timeoutMs))
    throw noteLostStatement((await sessionError(client, error)) as Error, client, asked)
  }
}

/** How long to wait until the server receives the cancel request: the server itself may be unreachable. In ms. */
export const cancelTimeoutMs = (timeoutMs: number) => Math.min(1_000, timeoutMs)
/** The pause between two cancel requests, so that the second one reaches the next query. In ms. */
const NEXT_MS = 20

const givenUp = new WeakMap<pg.ClientBase, Promise<void>>()

/** Before a connection is destroyed: reads no more answers, and cancels our queries on it. */
function cancelAndStopReading(client: FastClient, timeoutMs: number): Promise<void> {
  const known = givenUp.get(client)
  if (known) return known
  client.connection.stream.pause()
  const ending = cancelSentQueries(client, timeoutMs)
  givenUp.set(client, ending)
  return ending
}

/** Cancels the running query and the queries after it on this connection, up to the first one that is not ours or commits. */
async function cancelSentQueries(client: pg.ClientBase, timeoutMs: number): Promise<void> {
  const sent = sentQueries(client)
  const others = sent.findIndex((query) => !mayCancel(query))
  for (let left = others < 0 ? sent.length : others; left > 0; left--) {
    if (!(await cancel(client, cancelTimeoutMs(timeoutMs)))) return
    if (left > 1) await sleep(NEXT_MS)
  }
}

/**
 * Runs queries in one round trip if the connection pipelines; otherwise one after the other, because pg 9.0 removes its own
 * queue.
 */
export async function runTogether<const T extends readonly (() => Promise<unknown>)[]>(
  client: pg.ClientBase,
  queries: T,
): Promise<{ -readonly [K in keyof T]: Awaited<ReturnType<T[K]>> }> {
  const answers: unknown[] = []
  if (isFast(client)) {
    // Wait for all answers before an error returns the connection to the pool.
    for (const answer of await Promise.allSettled(queries.map((query) => query()))) {
      if (answer.status === 'rejected') throw answer.reason
      answers.push(answer.value)
    }
  } else {
    for (const query of queries) answers.push(await query())
  }
  return answers as never
}
