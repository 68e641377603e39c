import type pg from 'pg'

/** `COPY … FROM STDIN`, which pg leaves to add-ons: sends `text` when the server asks for it. */
export function copyIn(client: pg.ClientBase, command: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined
    client.query({
      submit: (connection: any) => connection.query(command),
      handleCopyInResponse: (connection: any) => {
        connection.sendCopyFromChunk(Buffer.from(text))
        connection.endCopyFrom()
      },
      handleError: (error: Error) => {
        failure = error
        reject(error)
      },
      handleCommandComplete() {},
      handleReadyForQuery: () => failure || resolve(),
    } as any)
  })
}
