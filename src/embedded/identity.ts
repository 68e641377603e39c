// Finds a user that PostgreSQL can run as, since it refuses to run as root.
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The user that PostgreSQL runs as: a command to put in front of the programs, and the owner of its directories (`uid:gid`; '' for the current user). */
export interface Identity {
  readonly prefix: readonly string[]
  readonly owner: string
}

/**
 * PostgreSQL refuses to run as root. So, as root, we run it as the owner of the existing data directory. If that is root too,
 * we run it in a user namespace in which root has another name: there it can reach directories below /root. If namespaces are
 * forbidden, as in most containers, we run it as the user nobody.
 */
export async function findIdentity(postgres: string, data: string): Promise<Identity> {
  const failures: string[] = []
  for (const identity of await candidates(data)) {
    const [command = postgres, ...args] = [...identity.prefix, postgres, '--version']
    try {
      await run(command, args, { cwd: '/' })
      return identity
    } catch (error) {
      failures.push((error as Error).message.trim())
    }
  }
  throw new Error(
    `PostgreSQL's programs do not run here:\n${failures.join('\n')}\n` +
      `As root they need \`unshare\` or \`setpriv\` (package util-linux), and with setpriv a directory that other users can read. ` +
      `If shared libraries are missing, try \`npm rebuild\`: an install script creates the links to them.`,
  )
}

async function candidates(data: string): Promise<Identity[]> {
  const plain = { prefix: [], owner: '' }
  const namespace = { prefix: ['unshare', '-U', `--map-user=${nobody}`, `--map-group=${nobody}`], owner: '' }
  if (process.getuid?.() !== 0) return hasName() ? [plain] : [namespace, plain]
  const { uid, gid } = await stat(data).catch(() => ({ uid: 0, gid: 0 }))
  return uid === 0 ? [namespace, as(nobody, nobody)] : [as(uid, gid)]
}

/** Containers often run with a user id that has no name, which initdb refuses. */
function hasName(): boolean {
  try {
    return userInfo().username !== ''
  } catch {
    return false
  }
}

const nobody = 65534

function as(uid: number, gid: number): Identity {
  return { prefix: ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'], owner: `${uid}:${gid}` }
}
