import { spawn } from 'node:child_process'

/**
 * Stops a process (SIGSTOP); returns what lets it go on. It also goes on when this process has ended, however that came
 * about: a stopped process can't notice that it was left alone, and would stay for ever.
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
