/** A promise, and the function that resolves it. */
export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

/** Something to wait for until the test opens it. */
export function gate(): Gate {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
