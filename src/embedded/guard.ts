// Runs a PostgreSQL server under a shell script, so that the server never outlives this process.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Binaries } from './binaries.ts'
import type { Cluster } from './cluster.ts'
import type { Identity } from './identity.ts'

/**
 * The shell script is the parent of initdb and of the server. It runs in a session of its own, so Ctrl-C does not reach it. Its
 * stdin is a pipe from this process, which the kernel closes however this process ends, even by SIGKILL. Then the script sends
 * SIGQUIT (stop at once) to a throw-away server, and SIGINT (stop cleanly) to a durable one. It repeats the signals, because
 * a program that is just starting may miss the first.
 */
const script = `
data=$1 scratch=$2 durable=$3 prefix=$4 owner=$5 initdb=$6 postgres=$7; shift 7
log=$data/postgres.log
exec 3<&0 4>&1 </dev/null 2>&1
umask 077
trap : HUP INT TERM PIPE # only the end of the pipe stops this script; writing to a broken pipe must not kill it

guarded() { # <signals> <command...>
  signals=$1; shift
  "$@" 3<&- 4>&- &
  child=$!
  echo "pid $child" >&4
  { read -r end <&3
    for signal in $signals; do
      for try in 1 2 3 4 5 6 7 8 9 10; do kill -s $signal $child || exit; sleep 1; done
    done
  } 4>&- >/dev/null 2>&1 &
  until wait $child; code=$?; ! kill -0 $child 2>/dev/null; do :; done
  kill -TERM 0 # ends the rest of our process group: the reader and its sleep, and what a killed initdb had started
  return $code
}

create() {
  sync=; [ $durable = yes ] || sync=--no-sync
  mkdir -m 700 "$scratch" && { [ -z "$owner" ] || chown $owner "$scratch"; } &&
    guarded 'TERM KILL' $prefix "$initdb" $sync -D "$scratch/new" -A trust -E UTF8 --locale=C -U postgres &&
    { [ ! -d "$data" ] || rmdir "$data"; } && mv "$scratch/new" "$data"
}

serve() {
  [ -z "$owner" ] || chown -R $owner "$data"
  : >"$log" || return
  if [ $durable = yes ]; then signals='INT INT QUIT KILL'; else signals='QUIT KILL'; fi
  guarded "$signals" $prefix "$postgres" -D "$data" "$@" >>"$log" 2>&1
  tail -n 20 "$log" 2>/dev/null
}

{ [ -f "$data/PG_VERSION" ] || create; } && serve "$@"
[ ! -d "$scratch" ] || rm -rf "$scratch" 2>/dev/null || { sleep 1; rm -rf "$scratch" 2>/dev/null; }
`

/** A running guard. When it ends, the server has ended and its temporary files are removed. */
export class Guard {
  readonly #shell: ChildProcess
  readonly #ended: Promise<unknown>
  #output = ''
  hasEnded = false

  constructor(
    binaries: Binaries,
    identity: Identity,
    cluster: Cluster,
    settings: string[],
    env: NodeJS.ProcessEnv,
  ) {
    const { data, scratch, durable } = cluster
    const where = [data, scratch, durable ? 'yes' : 'no', identity.prefix.join(' '), identity.owner]
    const args = ['-c', script, 'meowmx-guard', ...where, binaries.initdb, binaries.postgres, ...settings]
    this.#shell = spawn('sh', args, { cwd: '/', env, detached: true, stdio: ['pipe', 'pipe', 'ignore'] })
    this.#shell.on('error', () => {}) // `once` rejects with the first error
    this.#ended = once(this.#shell, 'close')
      .catch((error) => {
        this.#output += `${error.message}\n`
      })
      .then(() => {
        this.hasEnded = true
      })
    // If this process cannot open another file, there are no pipes.
    this.#shell.stdin?.on('error', () => {}) // the guard has already ended
    this.#shell.stdout
      ?.setEncoding('utf8')
      .on('error', () => {})
      .on('data', (text) => {
        this.#output += text
      })
  }

  /** What the last program printed: initdb, or (after its end) the server, in the last lines of its log. */
  get output(): string {
    return this.#output.replace(/^.*pid \d+\n/s, '').trim()
  }

  /** Whether this guard started the process with that id. */
  started(pid: number): boolean {
    return this.#output.includes(`pid ${pid}\n`)
  }

  /** From now on the guard does not keep this process alive. */
  unref(): void {
    this.#shell.unref()
    for (const pipe of [this.#shell.stdin, this.#shell.stdout]) (pipe as Socket | undefined)?.unref()
  }

  /** Stops the server and the guard; resolves when both have ended and their temporary files are removed. */
  async stop(): Promise<void> {
    this.#shell.ref()
    ;(this.#shell.stdout as Socket | undefined)?.ref()
    this.#shell.stdin?.destroy()
    await this.#ended
  }
}
