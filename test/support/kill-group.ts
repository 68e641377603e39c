/** Kills a process that was started with `detached`, and all that it has started. */
export function killGroup(pid: number | undefined): void {
  try {
    process.kill(-pid!, 'SIGKILL')
  } catch {
    // nothing left of it
  }
}
