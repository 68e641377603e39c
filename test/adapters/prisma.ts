import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { build } from 'esbuild'
import type { PrismaTransaction } from '../../src/adapters/index.ts'
import { fromPrisma } from '../../src/adapters/index.ts'
import type { Library, Place } from './library.ts'
import { CONNECTIONS } from './library.ts'

const MODEL = `
generator client {
  provider = "prisma-client"
  output   = "./client"
}
datasource db {
  provider = "postgresql"
}
model Note {
  name String @id
  @@map("notes")
}
`

/** What is used of the client that Prisma generates. */
interface Client extends PrismaTransaction {
  note: { create(row: { data: { name: string } }): Promise<unknown> }
  $transaction<T>(
    body: (tx: Omit<Client, '$transaction' | '$disconnect'>) => Promise<T>,
    limits: object,
  ): Promise<T>
  $disconnect(): Promise<void>
}

/** Transactions that wait for a connection, and those that have one, may take this long on a slow machine. */
const LIMITS = { maxWait: 60_000, timeout: 60_000 }

const require = createRequire(import.meta.url)
const versionOf = (name: string): string => require(`${name}/package.json`).version

/** Prisma's generator makes only clients of its own version: `npm run test:lowest` installs another one. */
export const hasPrisma = versionOf('@prisma/client') === versionOf('prisma')

/** Prisma, with a client that is generated in a folder of its own. Its engine is WebAssembly: nothing is downloaded. */
export async function prisma({ url, schema }: Place): Promise<Library> {
  const folder = await mkdtemp(join(tmpdir(), 'meowmx-prisma-'))
  const { PrismaClient } = await generate(folder)
  const adapter = new PrismaPg({ connectionString: url, max: CONNECTIONS }, { schema })
  const db: Client = new PrismaClient({ adapter })
  return {
    name: 'Prisma',
    transaction: (body) =>
      db.$transaction(
        (tx) =>
          body({
            own: tx,
            client: fromPrisma(tx),
            again: () => fromPrisma(tx),
            note: (name) => tx.note.create({ data: { name } }),
          }),
        LIMITS,
      ),
    refuse: () => fromPrisma(db),
    close: async () => {
      await db.$disconnect()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function generate(folder: string): Promise<any> {
  const modules = dirname(dirname(require.resolve('prisma/package.json')))
  await symlink(modules, join(folder, 'node_modules'), 'dir')
  await writeFile(join(folder, 'schema.prisma'), MODEL)
  await promisify(execFile)(
    process.execPath,
    [join(modules, 'prisma/build/index.js'), 'generate', '--schema', join(folder, 'schema.prisma')],
    {
      cwd: folder,
      // The engine for migrations is not used to generate. If no path were given, it would be downloaded.
      env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' },
    },
  )
  const outfile = join(folder, 'client.mjs')
  const entry = join(folder, 'client/client.ts')
  await build({ entryPoints: [entry], outfile, bundle: true, packages: 'external', format: 'esm' })
  return await import(pathToFileURL(outfile).href)
}
