import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Whom PostgreSQL runs as: a command to put before it, and who must own its directories (`uid:gid`, '' = we do). */
export interface Identity {
  readonly prefix: readonly string[]
  readonly owner: string
}

/**
 * PostgreSQL refuses to run as root. As root it therefore runs as the owner of an existing data directory; where that is
 * root too, inside a user namespace, where root is called nobody: there, directories below /root stay reachable. Where
 * namespaces are forbidden (most containers), it runs as the real nobody.
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
      `As root they need \`unshare\` or \`setpriv\` (util-linux), and with setpriv a directory that others can read; ` +
      `for missing shared libraries try \`npm rebuild\`: their links come from an install script.`,
  )
}

async function candidates(data: string): Promise<Identity[]> {
  const plain = { prefix: [], owner: '' }
  const namespace = { prefix: ['unshare', '-U', `--map-user=${nobody}`, `--map-group=${nobody}`], owner: '' }
  if (process.getuid?.() !== 0) return hasName() ? [plain] : [namespace, plain]
  const { uid, gid } = await stat(data).catch(() => ({ uid: 0, gid: 0 }))
  return uid === 0 ? [namespace, as(nobody, nobody)] : [as(uid, gid)]
}

/** Containers often run as a bare number, which initdb refuses. */
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
