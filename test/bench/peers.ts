import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { Consumer } from './consumer.ts'
import { figure } from './report.ts'
import type { Setting } from './setting.ts'
import { data } from './setting.ts'
import { median, now, quantile, speedOf } from './statistics.ts'

/** What each file of peers/ exports. `load` imports a package from where the peers are installed. */
interface Peer {
  packages: string[]
  setUp(url: string, load: Load): Promise<void>
  writer(url: string, clients: number, load: Load): Promise<Writer>
}
type Load = (name: string) => Promise<any>
interface Writer {
  append(stream: string, data: unknown): Promise<unknown>
  close(): Promise<unknown>
}

const NAMES = ['meowmx', 'emmett-postgresql', 'graphile-worker', 'pg-boss']
const CLIENTS = [1, 8, 32]

/**
 * A Markdown table for each library: appends per second, and the time from an append to a handler in another process; they are
 * measured in turn.
 */
export async function peers(setting: Setting, repeats: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'meowmx-peers-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{"private": true}')
    const found = await Promise.all(
      NAMES.map(async (name) => ({ name, peer: (await import(`./peers/${name}.mjs`)) as Peer })),
    )
    const packages = found.flatMap(({ peer }) => peer.packages)
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...packages], {
      cwd: folder,
      stdio: 'inherit',
    })
    const require = createRequire(join(folder, 'package.json'))
    const load: Load = (name) => import(pathToFileURL(require.resolve(name)).href)

    const measured = new Map<string, number[][]>(NAMES.map((name) => [name, []]))
    for (let repeat = 1; repeat <= repeats; repeat++) {
      for (const { name, peer } of found) {
        setting.log(`${repeat}/${repeats} ${name}`)
        const row: number[] = []
        for (const clients of CLIENTS) row.push(await appends(setting, peer, clients, load))
        row.push(...(await latency(setting, name, peer, folder, load)))
        measured.get(name)!.push(row)
      }
    }
    const rows = [...measured].map(([name, rows]) => {
      const cells = rows[0]!.map((_, i) => figure(median(rows.map((row) => row[i]!))))
      return `| ${[name, ...cells].join(' | ')} |`
    })
    const heads = [
      '',
      ...CLIENTS.map((clients) => `appends/s, ${clients} concurrent`),
      'to the handler: p50, ms',
      'p99, ms',
    ]
    return [`| ${heads.join(' | ')} |`, `|${heads.map(() => '---').join('|')}|`, ...rows].join('\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function appends(setting: Setting, peer: Peer, clients: number, load: Load): Promise<number> {
  const { url } = await setting.database()
  await peer.setUp(url, load)
  const writer = await peer.writer(url, clients, load)
  const { rate } = await speedOf({ clients, seconds: setting.seconds }, () =>
    writer.append(randomUUID(), data),
  )
  await writer.close()
  return rate
}

/** One event every 20 ms, and when it arrives in another process: p50 and p99. */
async function latency(
  setting: Setting,
  name: string,
  peer: Peer,
  folder: string,
  load: Load,
): Promise<[number, number]> {
  const EVENTS = 100
  const { url } = await setting.database()
  await peer.setUp(url, load)
  const consumer = await Consumer.start({ url, how: 'peer', names: [name], folder })
  const writer = await peer.writer(url, 1, load)
  const write = async (count: number) => {
    for (let n = 0; n < count; n++)
      await Promise.all([writer.append(randomUUID(), { ...data, at: now() }), delay(20)])
  }
  await write(20)
  await consumer.seen(20)
  await consumer.times()
  await write(EVENTS)
  await consumer.seen(20 + EVENTS)
  const times = await consumer.times()
  await consumer.stop()
  await writer.close()
  return [quantile(times, 0.5), quantile(times, 0.99)]
}
