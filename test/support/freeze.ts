import { spawn } from 'node:child_process'

/**
 * Stops a process (SIGSTOP); returns a function that lets it continue. It also continues when this process has ended, in
 * whatever way: a stopped process could not notice that, and would stay for ever.
 */
export function freeze(pid: number): () => void {
  const script = 'kill -STOP "$1" && read -r _; kill -CONT "$1"'
  const shell = spawn('sh', ['-c', script, 'freeze', `${pid}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true, // a Ctrl-C in the terminal is not meant for it
  })
  shell.stdin.on('error', () => {})
  return () => void shell.stdin.end()
}
